/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel log and assertions. A WARN is not a line in a log here but a finding, like a BUG;
 * unless a test expects it, to see what the program does next (sim_expect_warnings()).
 */
#ifndef SHIM_LOG_H
#define SHIM_LOG_H

#include "shim_list.h"

#define KERN_SOH "\001"
#define KERN_EMERG KERN_SOH "0"
#define KERN_ALERT KERN_SOH "1"
#define KERN_CRIT KERN_SOH "2"
#define KERN_ERR KERN_SOH "3"
#define KERN_WARNING KERN_SOH "4"
#define KERN_NOTICE KERN_SOH "5"
#define KERN_INFO KERN_SOH "6"
#define KERN_DEBUG KERN_SOH "7"

int printk(const char *fmt, ...) __printf(1, 2);
/* As without DEBUG and CONFIG_DYNAMIC_DEBUG: the arguments are checked, not evaluated. */
#define no_printk(fmt, ...)                                                                     \
	({                                                                                      \
		if (0)                                                                          \
			printk(fmt, ##__VA_ARGS__);                                             \
		0;                                                                              \
	})

#ifndef pr_fmt
#define pr_fmt(fmt) fmt
#endif

#define pr_err(fmt, ...) printk(KERN_ERR pr_fmt(fmt), ##__VA_ARGS__)
#define pr_warn(fmt, ...) printk(KERN_WARNING pr_fmt(fmt), ##__VA_ARGS__)
#define pr_info(fmt, ...) printk(KERN_INFO pr_fmt(fmt), ##__VA_ARGS__)
#define pr_debug(fmt, ...) no_printk(KERN_DEBUG pr_fmt(fmt), ##__VA_ARGS__)

#define DM_NAME "device-mapper"
#define DM_FMT(fmt) DM_NAME ": " DM_MSG_PREFIX ": " fmt "\n"

#define DMERR(fmt, ...) pr_err(DM_FMT(fmt), ##__VA_ARGS__)
#define DMWARN(fmt, ...) pr_warn(DM_FMT(fmt), ##__VA_ARGS__)
#define DMINFO(fmt, ...) pr_info(DM_FMT(fmt), ##__VA_ARGS__)
#define DMDEBUG(fmt, ...) pr_debug(DM_FMT(fmt), ##__VA_ARGS__)
/* At most 10 lines in 5 (simulated) seconds from one place, as in the kernel. */
struct shim_ratelimit {
	u64 begin_ns;
	u32 printed;
	u32 world;
};
void shim_printk_limited(struct shim_ratelimit *state, const char *fmt, ...) __printf(2, 3);
#define shim_limited(fmt, ...)                                                                  \
	do {                                                                                    \
		static struct shim_ratelimit __rs;                                              \
		shim_printk_limited(&__rs, fmt, ##__VA_ARGS__);                                 \
	} while (0)
#define DMERR_LIMIT(fmt, ...) shim_limited(KERN_ERR DM_FMT(fmt), ##__VA_ARGS__)
#define DMWARN_LIMIT(fmt, ...) shim_limited(KERN_WARNING DM_FMT(fmt), ##__VA_ARGS__)
#define DMINFO_LIMIT(fmt, ...) shim_limited(KERN_INFO DM_FMT(fmt), ##__VA_ARGS__)

#define BUG() shim_bug(SHIM_SITE, "BUG()")
#define BUG_ON(cond)                                                                            \
	do {                                                                                    \
		if (unlikely(cond))                                                             \
			shim_bug(SHIM_SITE, "BUG_ON(" #cond ")");                               \
	} while (0)

void shim_warn(const char *site, const char *fmt, ...) __printf(2, 3) __attribute__((cold));

static inline bool shim_warn_on(bool cond, const char *site, const char *text)
{
	if (unlikely(cond))
		shim_warn(site, "WARN_ON(%s)", text);
	return cond;
}

#define WARN_ON(cond) shim_warn_on(!!(cond), SHIM_SITE, #cond)
#define WARN_ON_ONCE(cond) WARN_ON(cond)
#define WARN(cond, fmt, ...)                                                                    \
	({                                                                                      \
		bool __warn = !!(cond);                                                         \
		if (unlikely(__warn))                                                           \
			shim_warn(SHIM_SITE, fmt, ##__VA_ARGS__);                               \
		__warn;                                                                         \
	})
#define WARN_ONCE(cond, fmt, ...) WARN(cond, fmt, ##__VA_ARGS__)

#endif /* SHIM_LOG_H */
