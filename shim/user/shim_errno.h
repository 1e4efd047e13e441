/* SPDX-License-Identifier: GPL-2.0 */
/* Error numbers: Linux's, the same as the C library's <errno.h> on Linux. */
#ifndef SHIM_ERRNO_H
#define SHIM_ERRNO_H

#undef EPERM
#define EPERM 1
#undef ENOENT
#define ENOENT 2
#undef EINTR
#define EINTR 4
#undef EIO
#define EIO 5
#undef ENXIO
#define ENXIO 6
#undef E2BIG
#define E2BIG 7
#undef EBADF
#define EBADF 9
#undef EAGAIN
#define EAGAIN 11
#undef ENOMEM
#define ENOMEM 12
#undef EACCES
#define EACCES 13
#undef EFAULT
#define EFAULT 14
#undef ENOTBLK
#define ENOTBLK 15
#undef EBUSY
#define EBUSY 16
#undef EEXIST
#define EEXIST 17
#undef EXDEV
#define EXDEV 18
#undef ENODEV
#define ENODEV 19
#undef EINVAL
#define EINVAL 22
#undef EFBIG
#define EFBIG 27
#undef ENOSPC
#define ENOSPC 28
#undef EROFS
#define EROFS 30
#undef EDOM
#define EDOM 33
#undef ERANGE
#define ERANGE 34
#undef EDEADLK
#define EDEADLK 35
#undef ENAMETOOLONG
#define ENAMETOOLONG 36
#undef ENOSYS
#define ENOSYS 38
#undef ENODATA
#define ENODATA 61
#undef ETIME
#define ETIME 62
#undef EPROTO
#define EPROTO 71
#undef EBADMSG
#define EBADMSG 74
#undef EOVERFLOW
#define EOVERFLOW 75
#undef EILSEQ
#define EILSEQ 84
#undef EOPNOTSUPP
#define EOPNOTSUPP 95
#undef ETIMEDOUT
#define ETIMEDOUT 110
#undef EALREADY
#define EALREADY 114
#undef EINPROGRESS
#define EINPROGRESS 115
#undef EUCLEAN
#define EUCLEAN 117
#undef EREMOTEIO
#define EREMOTEIO 121
#undef ENOMEDIUM
#define ENOMEDIUM 123
#undef ECANCELED
#define ECANCELED 125

#endif /* SHIM_ERRNO_H */
