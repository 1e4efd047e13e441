// SPDX-License-Identifier: GPL-2.0
/*
 * The worker: one work item per origin. Each pass takes what has ended and what is queued, decides
 * with the master lock held, and acts after it has dropped it.
 *
 * Whoever has something for the worker puts it on a list and queues the work item; queueing it
 * while it runs makes it run again, so no wake-up is lost (H05). The workqueue has a rescuer, and
 * nothing here allocates in a way that could wait for the I/O that is served (H40).
 */
#include "multisnap.h"

/* Any context. */
void multisnap_kick(struct dm_multisnap *s)
{
	queue_work(s->wq, &s->work);
}

void multisnap_queue_bio(struct dm_multisnap *s, struct bio *bio)
{
	lockdep_assert_held(&s->io_lock);
	bio_list_add(&s->queue, bio);
	multisnap_kick(s);
}

/* What was waiting goes before what came later. Empties @bios. */
void multisnap_requeue(struct dm_multisnap *s, struct bio_list *bios)
{
	unsigned long flags;

	if (bio_list_empty(bios))
		return;
	spin_lock_irqsave(&s->io_lock, flags);
	bio_list_merge_head(&s->queue, bios);
	multisnap_kick(s);
	spin_unlock_irqrestore(&s->io_lock, flags);
	bio_list_init(bios);
}

/* An event: what was answered "ask again" asks again. */
void dm_multisnap_event(struct dm_multisnap *s) __must_hold(&s->lock)
{
	lockdep_assert_held(&s->lock);
	WRITE_ONCE(s->event_seq, s->event_seq + 1);
	s->nr_again = 0;
	multisnap_requeue(s, &s->again);
	wake_up_all(&s->wait);
}
EXPORT_SYMBOL_GPL(dm_multisnap_event);

u64 multisnap_event_seq(struct dm_multisnap *s)
{
	lockdep_assert_held(&s->lock);
	return s->event_seq;
}

void multisnap_wait_event(struct dm_multisnap *s, u64 seq)
{
	multisnap_kick(s);
	wait_event(s->wait, READ_ONCE(s->event_seq) != seq || multisnap_halted(s));
}

/* The end of this pass wakes who waits for room. */
static void let_go_bulk(struct dm_multisnap *s, struct bio *bio)
{
	unsigned long flags;

	if (!bio_track(bio)->bulk)
		return;
	spin_lock_irqsave(&s->io_lock, flags);
	if (!dm_multisnap_broken(s, !s->nr_bulk))
		WRITE_ONCE(s->nr_bulk, s->nr_bulk - 1);
	spin_unlock_irqrestore(&s->io_lock, flags);
}

void multisnap_fail_bio(struct dm_multisnap *s, struct bio *bio)
{
	lockdep_assert_held(&s->lock);
	let_go_bulk(s, bio);
	bio->bi_status = BLK_STS_IOERR;
	bio_list_add(&s->actions.end, bio);
}

void multisnap_submit_bio(struct dm_multisnap *s, struct bio *bio, struct dm_dev *dev,
			  sector_t sector)
{
	lockdep_assert_held(&s->lock);
	let_go_bulk(s, bio);
	bio_set_dev(bio, dev->bdev);
	bio->bi_iter.bi_sector = sector;
	bio_list_add(&s->actions.submit, bio);
}

void multisnap_init_actions(struct actions *actions)
{
	INIT_LIST_HEAD(&actions->ios);
	INIT_LIST_HEAD(&actions->copies);
	INIT_LIST_HEAD(&actions->zeroes);
	bio_list_init(&actions->submit);
	bio_list_init(&actions->end);
	actions->table_event = false;
}

static void take_actions(struct dm_multisnap *s, struct actions *actions)
{
	multisnap_init_actions(actions);
	list_splice(&s->actions.ios, &actions->ios);
	list_splice(&s->actions.copies, &actions->copies);
	list_splice(&s->actions.zeroes, &actions->zeroes);
	bio_list_merge(&actions->submit, &s->actions.submit);
	bio_list_merge(&actions->end, &s->actions.end);
	actions->table_event = s->actions.table_event;
	multisnap_init_actions(&s->actions);
}

/* A read past the origin's end: zeroes, and what is before the end from the origin. */
static bool zero_read(struct bio *bio)
{
	struct bio_track *bt = bio_track(bio);

	if (!bt->zero)
		return false;
	zero_fill_bio(bio);
	bio->bi_iter.bi_size = sectors_to_bytes(bt->zero_after);
	return !bt->zero_after;
}

/* No lock. Each of these may end, in any context, before the call returns. */
static void act(struct actions *actions)
{
	struct dm_multisnap_io *io, *next_io;
	struct pending_exception *pe, *next_pe;
	struct blk_plug plug;
	struct bio *bio;

	list_for_each_entry_safe(io, next_io, &actions->ios, list) {
		list_del(&io->list);
		multisnap_issue_io(io);
	}
	list_for_each_entry_safe(pe, next_pe, &actions->copies, act_list) {
		list_del(&pe->act_list);
		multisnap_start_copies(pe);
	}
	/* So that neighbours become one request again: dm has split them at the chunks. */
	blk_start_plug(&plug);
	while ((bio = bio_list_pop(&actions->submit))) {
		if (zero_read(bio))
			bio_endio(bio);
		else
			dm_submit_bio_remap(bio, NULL);
	}
	blk_finish_plug(&plug);
	while ((bio = bio_list_pop(&actions->end)))
		bio_endio(bio);
	list_for_each_entry_safe(pe, next_pe, &actions->zeroes, act_list) {
		list_del(&pe->act_list);
		multisnap_zero_again(pe);
	}
}

static void store_ios_ended(struct dm_multisnap *s, struct list_head *done)
{
	struct dm_multisnap_io *io, *next;

	list_for_each_entry_safe(io, next, done, list) {
		list_del(&io->list);
		if (!dm_multisnap_broken(s, !s->nr_store_ios))
			s->nr_store_ios--;
		io->done(io, io->error);
	}
}

static void process_ended(struct dm_multisnap *s) __must_hold(&s->lock)
{
	struct list_head done_ios, done_copies;
	bool tracked_event, event;
	unsigned long flags;

	INIT_LIST_HEAD(&done_ios);
	INIT_LIST_HEAD(&done_copies);
	spin_lock_irqsave(&s->io_lock, flags);
	list_splice_init(&s->done_ios, &done_ios);
	list_splice_init(&s->done_copies, &done_copies);
	list_splice_tail_init(&s->failed_zeroes, &s->actions.zeroes);
	tracked_event = s->tracked_event;
	if (tracked_event) {
		s->tracked_event = false;
		s->tracked_waiters = false;
	}
	spin_unlock_irqrestore(&s->io_lock, flags);

	multisnap_copies_ended(s, &done_copies);
	event = !list_empty(&done_ios);
	store_ios_ended(s, &done_ios);
	if (multisnap_try_epoch(s))
		event = true;
	if (event)
		dm_multisnap_event(s);
	if (tracked_event)
		multisnap_requeue(s, &s->tracked_wait);
}

/* True: there is more to do at once. */
static bool process_queue(struct dm_multisnap *s) __must_hold(&s->lock)
{
	struct bio_list bios;
	unsigned long flags;
	unsigned int n = 0;
	bool stop = false;
	struct bio *bio;

	bio_list_init(&bios);
	spin_lock_irqsave(&s->io_lock, flags);
	bio_list_merge(&bios, &s->queue);
	bio_list_init(&s->queue);
	spin_unlock_irqrestore(&s->io_lock, flags);

	while (n++ < MULTISNAP_BATCH && s->nr_again < MULTISNAP_AGAIN_MAX && !stop) {
		bio = bio_list_pop(&bios);
		if (!bio)
			return false;
		switch (bio_track(bio)->snap ? multisnap_do_snapshot_bio(s, bio) :
					       multisnap_do_origin_bio(s, bio)) {
		case BIO_TAKEN:
			break;
		case BIO_AGAIN:
			bio_list_add(&s->again, bio);
			s->nr_again++;
			break;
		case BIO_NO_PENDING:
			bio_list_add_head(&bios, bio);
			stop = true;
			break;
		}
	}
	if (bio_list_empty(&bios))
		return false;
	spin_lock_irqsave(&s->io_lock, flags);
	bio_list_merge_head(&s->queue, &bios);
	spin_unlock_irqrestore(&s->io_lock, flags);
	/* Else an event, or the release of a pending exception, brings the worker back. */
	return !stop && s->nr_again < MULTISNAP_AGAIN_MAX;
}

/* When the device goes, only as long as a commit may need it to make room. */
static bool background_may_run(struct dm_multisnap *s) __must_hold(&s->lock)
{
	return !multisnap_halted(s) && (!s->stopping || !multisnap_groups_idle(s));
}

static bool one_pass(struct dm_multisnap *s) __must_hold(&s->lock)
{
	bool more;

	process_ended(s);
	multisnap_handle_error(s);
	/* Before the queue: what has been released goes first. */
	multisnap_advance_groups(s);
	more = process_queue(s);
	if (background_may_run(s) && multisnap_run_background(s)) {
		dm_multisnap_event(s);
		more |= !list_empty(&s->background) && background_may_run(s);
	}
	multisnap_advance_groups(s);
	WRITE_ONCE(s->pass_seq, s->pass_seq + 1);
	wake_up_all(&s->wait);
	return more;
}

void dm_multisnap_want_memory(struct dm_multisnap *s) __must_hold(&s->lock)
{
	lockdep_assert_held(&s->lock);
	s->want_memory = true;
	multisnap_kick(s);
}
EXPORT_SYMBOL_GPL(dm_multisnap_want_memory);

/* No lock: this may wait for memory. Whoever frees the store flushes the workqueue first. */
static void fetch_memory(struct dm_multisnap *s, const struct multisnap_store_ops *ops,
			 struct dm_exception_store *store)
{
	int r = ops->fetch_memory(store);

	multisnap_lock(s);
	if (r)
		dm_multisnap_set_error(s, r);
	dm_multisnap_event(s);
	multisnap_unlock(s);
}

void multisnap_work(struct work_struct *work)
{
	struct dm_multisnap *s = container_of(work, struct dm_multisnap, work);
	unsigned int noio = memalloc_noio_save();
	const struct multisnap_store_ops *ops;
	struct dm_exception_store *store;
	struct actions actions;
	bool want_memory;

	multisnap_lock(s);
	if (s->store && one_pass(s))
		multisnap_kick(s);
	take_actions(s, &actions);
	store = s->store;
	ops = s->ops;
	want_memory = s->want_memory && store;
	s->want_memory = false;
	multisnap_unlock(s);
	act(&actions);
	if (actions.table_event)
		dm_table_event(s->ti->table);
	if (want_memory)
		fetch_memory(s, ops, store);
	memalloc_noio_restore(noio);
}

/* Master lock. Nothing under way that the store or the core would still have to finish. */
bool multisnap_stopped(struct dm_multisnap *s)
{
	lockdep_assert_held(&s->lock);
	return !s->nr_store_ios && !s->nr_pending && (multisnap_halted(s) || !s->closed) &&
	       (s->giveup == GIVEUP_NO ? !(multisnap_halted(s) && dm_multisnap_drop_on_error(s)) :
					 s->giveup == GIVEUP_DONE);
}
