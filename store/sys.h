#ifndef SYS_H
#define SYS_H

#include <sys/types.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Every system call that the store makes on files, in one table.  Tests
 * replace rows of it to make the n-th call fail; nothing else in store/
 * names these calls.  Each row keeps the meaning, result and errno of its
 * system call.
 */
struct sys {
	int	 (*openat)(int, const char *, int, mode_t);
	int	 (*close)(int);
	ssize_t	 (*read)(int, void *, size_t);
	ssize_t	 (*pread)(int, void *, size_t, off_t);
	ssize_t	 (*write)(int, const void *, size_t);
	ssize_t	 (*pwritev)(int, const struct iovec *, int, off_t);
	int	 (*fsync)(int);
	int	 (*fdatasync)(int);
	int	 (*renameat)(int, const char *, int, const char *);
	int	 (*unlinkat)(int, const char *, int);
	int	 (*mkdirat)(int, const char *, mode_t);
	int	 (*fstat)(int, struct stat *);
	int	 (*fstatat)(int, const char *, struct stat *, int);
	int	 (*ftruncate)(int, off_t);
	int	 (*linkat)(int, const char *, int, const char *, int);
	int	 (*fstatvfs)(int, struct statvfs *);
	int	 (*flopenat)(int, const char *, int, mode_t);
	DIR	*(*fdopendir)(int);
	struct dirent *(*readdir)(DIR *);
	int	 (*closedir)(DIR *);
	int	 (*fchown)(int, uid_t, gid_t);
	int	 (*futimens)(int, const struct timespec[2]);
};

/*
 * Two descriptors are kept that nobody needs, as long as somebody asks for
 * them: sys_reserve and sys_release, as often as each other.  When the table
 * of descriptors is full (EMFILE, ENFILE), because connections have used it up,
 * an openat or flopenat of sys_real gives one of them up and tries again; the
 * next close or closedir takes it back.  So the journal and, one file after
 * another, flush and loads go on.  If they cannot be had now, a later close
 * gets them.
 */
void	 sys_reserve(void);
void	 sys_release(void);

/*
 * See that the descriptors 0, 1 and 2 are open: else a file would get such a
 * number, and what is meant for the log would go into it.  To be called first
 * of all.  Returns 0, or -1 with errno set.
 */
int	 sys_streams(void);

/* The table in force; written only by tests, before any thread runs. */
extern const struct sys	*sys;

/* The real system calls. */
extern const struct sys	 sys_real;

/*
 * Write all len bytes at buf to fd at its file position.  Goes on after
 * EINTR and short writes.  Returns 0, or -1 with errno set: then any part
 * of the bytes may have been written.
 */
int	 sys_writeall(int fd, const void *buf, size_t len);

/*
 * The same for an iovec at offset off, without moving the file position.
 * Changes the iovec's members while it works.
 */
int	 sys_pwritevall(int fd, struct iovec *iov, int iovcnt, off_t off);

/*
 * Read the whole regular file name in dirfd into *buf_r, malloc'd (new) and
 * followed by a NUL that *len_r does not count.  Returns 0, or -1 with errno
 * set (EFBIG above max bytes, EISDIR or EINVAL if it is no regular file, ELOOP
 * if it is a symbolic link, ENOMEM, or what open and read say).
 */
int	 sys_readfile(int dirfd, const char *name, size_t max, char **buf_r,
	    size_t *len_r);

/*
 * Does this errno say that the name is none of a regular file?  Waiting and
 * permission do not help then.
 */
bool	 sys_is_no_file(int error);

/*
 * The same of a file of which the disk does not give all: blocks that fail
 * with EIO are zeros, *lost_r their bytes.
 */
int	 sys_readparts(int dirfd, const char *name, size_t max, char **buf_r,
	    size_t *len_r, size_t *lost_r);

/*
 * Make folder name in dirfd with mode 0700 unless it is there, sync dirfd
 * if it was made, and open it.  One that an earlier call made but could
 * neither sync nor take away is made anew.  Returns its descriptor (close
 * with sys->close), or -1 with errno set.
 */
int	 sys_opendir(int dirfd, const char *name);

/*
 * Open the file name in dirfd (made with mode 0600 unless it is there), lock
 * it without waiting and write this process's id into it.  The lock lasts
 * until the last copy of the descriptor is closed.  Returns the descriptor,
 * or -1 with errno set; EWOULDBLOCK: another process has it, *holder_r being
 * its id, or 0 if the file does not say.
 */
int	 sys_lockfile(int dirfd, const char *name, pid_t *holder_r);

/*
 * Set the file's times to now, as far as that goes.  Not by way of the table:
 * nothing is lost where it fails.
 */
void	 sys_touch(int fd);

/*
 * Call visit(name, arg) for each entry of the folder dirfd, "." and ".."
 * left out, in no order.  A visit that returns non-zero ends the walk.
 * dirfd stays open and its position does not matter.  Returns 0, -1 with
 * errno set, or what the last visit returned.
 */
int	 sys_eachname(int dirfd, int (*visit)(const char *name, void *arg),
	    void *arg);

/* Since the epoch (wall clock), and of the monotonic clock. */
int64_t	 sys_now_ns(void);
int64_t	 sys_now_ms(void);
int64_t	 sys_monotonic_ms(void);
int64_t	 sys_monotonic_us(void);

#endif /* !SYS_H */
