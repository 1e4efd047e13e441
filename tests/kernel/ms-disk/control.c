// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/ms-disk: disks are made, changed and looked at by ioctl() (ms-disk.h). For tests only.
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "disk.h"

/* Who has it may use all disks in the list; they come and go under it. */
static DEFINE_MUTEX(disks_lock);
static LIST_HEAD(disks);

static struct ms_disk *find_disk(u32 number)
{
	struct ms_disk *d;

	list_for_each_entry(d, &disks, list)
		if (d->number == number)
			return d;
	return NULL;
}

static int create(struct ms_disk_create *args)
{
	struct ms_disk *d;
	u32 number = 0;

	while (find_disk(number))
		number++;
	d = ms_disk_create(number, args);
	if (IS_ERR(d))
		return PTR_ERR(d);
	list_add_tail(&d->list, &disks);
	return 0;
}

static int destroy(struct ms_disk *d)
{
	int r;

	list_del(&d->list);
	r = ms_disk_destroy(d);
	if (r)
		list_add_tail(&d->list, &disks);
	return r;
}

static int resize(struct ms_disk *d, const struct ms_disk_resize *args)
{
	if (!args->sectors || args->sectors > LLONG_MAX >> SECTOR_SHIFT)
		return -EINVAL;
	ms_disk_resize(d, args->sectors);
	return 0;
}

/* At one moment: no disk serves anything while the flags are set. */
static int power_off(void)
{
	struct ms_disk *d;

	list_for_each_entry(d, &disks, list)
		mutex_lock_nest_lock(&d->medium_lock, &disks_lock);
	list_for_each_entry(d, &disks, list)
		d->off = true;
	list_for_each_entry(d, &disks, list)
		mutex_unlock(&d->medium_lock);
	list_for_each_entry(d, &disks, list)
		ms_disk_release(d, MS_DISK_ALL);
	return 0;
}

static int peek_or_poke(struct ms_disk *d, const struct ms_disk_contents *args, bool poke)
{
	size_t bytes = (size_t)args->sectors << SECTOR_SHIFT;
	void __user *user = u64_to_user_ptr(args->buffer);
	void *buffer;
	int r = 0;

	if (!args->sectors || args->sectors > MS_DISK_MAX_SECTORS ||
	    args->sector > d->medium.sectors || args->sectors > d->medium.sectors - args->sector)
		return -EINVAL;
	buffer = kvmalloc(bytes, GFP_KERNEL);
	if (!buffer)
		return -ENOMEM;
	if (poke && copy_from_user(buffer, user, bytes)) {
		r = -EFAULT;
		goto out;
	}
	mutex_lock(&d->medium_lock);
	if (poke)
		r = ms_medium_write(&d->medium, args->sector, buffer, bytes);
	else
		ms_medium_read(&d->medium, args->sector, buffer, bytes);
	mutex_unlock(&d->medium_lock);
	if (!poke && copy_to_user(user, buffer, bytes))
		r = -EFAULT;
out:
	kvfree(buffer);
	return r;
}

static int next_data(struct ms_disk *d, struct ms_disk_next *args)
{
	mutex_lock(&d->medium_lock);
	args->sector = ms_medium_next_data(&d->medium, args->sector);
	mutex_unlock(&d->medium_lock);
	return 0;
}

/* All arguments begin with the number of the disk, but for those of CREATE. */
union ms_disk_args {
	u32 number;
	struct ms_disk_create create;
	struct ms_disk_resize resize;
	struct ms_disk_fault fault;
	struct ms_disk_hold hold;
	struct ms_disk_release release;
	struct ms_disk_counts counts;
	struct ms_disk_contents contents;
	struct ms_disk_next next;
	struct ms_disk_bio bio;
};

static int command(unsigned int cmd, union ms_disk_args *args)
{
	struct ms_disk *d;

	if (cmd == MS_DISK_CREATE)
		return create(&args->create);
	if (cmd == MS_DISK_POWER_OFF)
		return power_off();
	d = find_disk(args->number);
	if (!d)
		return -ENODEV;
	switch (cmd) {
	case MS_DISK_REMOVE:
		return destroy(d);
	case MS_DISK_RESIZE:
		return resize(d, &args->resize);
	case MS_DISK_ADD_FAULT:
		return ms_disk_add_fault(d, &args->fault);
	case MS_DISK_CLEAR_FAULTS:
		ms_disk_clear_faults(d);
		return 0;
	case MS_DISK_ADD_HOLD:
		return ms_disk_add_hold(d, &args->hold);
	case MS_DISK_RELEASE:
		return ms_disk_release(d, args->release.handle);
	case MS_DISK_GET_COUNTS:
		ms_disk_get_counts(d, &args->counts);
		return 0;
	case MS_DISK_PEEK:
	case MS_DISK_POKE:
		return peek_or_poke(d, &args->contents, cmd == MS_DISK_POKE);
	case MS_DISK_NEXT_DATA:
		return next_data(d, &args->next);
	default:
		return -ENOTTY;
	}
}

static long control_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *user = (void __user *)arg;
	union ms_disk_args args = { 0 };
	int r;

	if (_IOC_TYPE(cmd) != MS_DISK_IOC || _IOC_SIZE(cmd) > sizeof(args))
		return -ENOTTY;
	if (_IOC_DIR(cmd) & _IOC_WRITE && copy_from_user(&args, user, _IOC_SIZE(cmd)))
		return -EFAULT;
	if (cmd == MS_DISK_SUBMIT) {
		/* Takes as long as it takes; concerns no disk of ours in particular. */
		r = ms_disk_submit(&args.bio);
	} else {
		mutex_lock(&disks_lock);
		r = command(cmd, &args);
		mutex_unlock(&disks_lock);
	}
	if (!r && _IOC_DIR(cmd) & _IOC_READ && copy_to_user(user, &args, _IOC_SIZE(cmd)))
		r = -EFAULT;
	return r;
}

static const struct file_operations control_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = control_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice control = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "ms-disk",
	.fops = &control_fops,
	.mode = 0600,
};

static int __init ms_disk_module_init(void)
{
	int r = ms_disk_init();

	if (r)
		return r;
	r = misc_register(&control);
	if (r)
		ms_disk_exit();
	return r;
}

/* Whoever has a disk open has the module, too. */
static void __exit ms_disk_module_exit(void)
{
	struct ms_disk *d, *next;

	misc_deregister(&control);
	list_for_each_entry_safe(d, next, &disks, list)
		WARN_ON(destroy(d));
	ms_disk_exit();
}

module_init(ms_disk_module_init);
module_exit(ms_disk_module_exit);

MODULE_DESCRIPTION("Disks in memory with faults, held requests and counts, for tests");
MODULE_LICENSE("GPL");
