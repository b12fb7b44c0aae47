/* SPDX-License-Identifier: GPL-2.0 */
/* Loading and unloading of modules. Functions return -1 and set errno when the kernel refuses. */
#ifndef LIB_MODULE_H
#define LIB_MODULE_H

#include <fcntl.h>
#include <sys/syscall.h>
#include "lib/harness.h"

/* Loads the module whose path is in an environment variable. */
static inline int module_load(const char *variable, const char *parameters)
{
	const char *path = getenv(variable);
	int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	int ret = syscall(SYS_finit_module, file, parameters, 0), error = errno;

	close(file);
	errno = error;
	return ret;
}

/* Unloads a module; EAGAIN while it is in use. */
static inline int module_unload(const char *module)
{
	return syscall(SYS_delete_module, module, O_NONBLOCK);
}

/* Retries the unload for 5 s: a driver may drop buffers of completed jobs after a delay. */
static inline int module_unload_soon(const char *module)
{
	for (int i = 0; i < 500; i++) {
		if (!module_unload(module))
			return 0;
		usleep(10000);
	}
	return -1;
}

#endif /* LIB_MODULE_H */
