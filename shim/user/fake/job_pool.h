/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The reserves that submitters sleep on: struct io of a dm-io client, jobs of a kcopyd client.
 *
 * In the kernel these are mempools: as long as memory can be had, they do not limit anything; when
 * it can not, there are 16 and 8. The fifo strategy is a machine with memory, the others one
 * without. Taking one orders nothing, nor does giving it back; but waiting for one does.
 */
#ifndef FAKE_JOB_POOL_H
#define FAKE_JOB_POOL_H

#include "sched.h"

struct job_pool {
	u32 free;
	wait_queue_head_t wait;
};

static inline bool job_pool_try(struct job_pool *pool)
{
	bool taken;

	sched_enter();
	taken = pool->free;
	/* As long as there are some, the order of taking and giving back makes no difference. */
	sched_access(pool, taken ? SIM_ADD : SIM_WRITE);
	if (taken)
		pool->free--;
	sched_exit();
	return taken;
}

static inline void job_pool_put(struct job_pool *pool)
{
	sched_enter();
	sched_access(pool, list_empty(&pool->wait.head) ? SIM_ADD : SIM_WRITE);
	pool->free++;
	wait_wake(&pool->wait);
	sched_exit();
}

/* By sim_set_job_pools() or the strategy. */
u32 kcopyd_pool_jobs(void);
u32 dm_io_pool_jobs(void);

#endif /* FAKE_JOB_POOL_H */
