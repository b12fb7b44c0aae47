/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The calls of both device nodes. Functions that return an int return -1 and set errno when the
 * kernel refuses.
 */
#ifndef LIB_TEST_H
#define LIB_TEST_H

#include "lib/buffer.h"
#include "lib/crc32c.h"
#include "lib/event.h"
#include "lib/job.h"
#include "lib/process.h"
#include "lib/sync_file.h"

#endif /* LIB_TEST_H */
