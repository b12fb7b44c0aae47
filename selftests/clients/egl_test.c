// SPDX-License-Identifier: GPL-2.0
/*
 * EGL_ANDROID_native_fence_sync on Mesa's software renderer: a context waits for fences of vfence,
 * and jobs wait for fences of a context.
 */
#include <EGL/egl.h>
#include <EGL/eglext.h>
#include <GLES2/gl2.h>
#include <gbm.h>
#include "fixture.h"

#define SIZE 64

FIXTURE(egl)
{
	int device;
	struct gbm_device *gbm;
	EGLDisplay display;
	EGLContext context;
	GLuint texture, framebuffer;
	PFNEGLCREATESYNCKHRPROC create_sync;
	PFNEGLDESTROYSYNCKHRPROC destroy_sync;
	PFNEGLCLIENTWAITSYNCKHRPROC client_wait;
	PFNEGLWAITSYNCKHRPROC wait_sync;
	PFNEGLDUPNATIVEFENCEFDANDROIDPROC dup_fence;
};

FIXTURE_VARIANT(egl)
{
	/* The platform: gbm on the render node, or no device. */
	bool gbm;
	struct outcome outcome;
};

FIXTURE_VARIANT_ADD(egl, surfaceless_late) { .outcome = { LATE, 1 } };
FIXTURE_VARIANT_ADD(egl, surfaceless_error) { .outcome = { FAILS, -EIO } };
FIXTURE_VARIANT_ADD(egl, surfaceless_hang) { .outcome = { HANGS, -ETIMEDOUT } };
FIXTURE_VARIANT_ADD(egl, gbm_late) { .gbm = true, .outcome = { LATE, 1 } };

/* Creates a GLES 2 context without a surface, and makes it current. */
static EGLContext context_of(EGLDisplay display)
{
	const EGLint wanted[] = {
		EGL_SURFACE_TYPE, 0, EGL_RENDERABLE_TYPE, EGL_OPENGL_ES2_BIT, EGL_NONE,
	};
	const EGLint version[] = { EGL_CONTEXT_CLIENT_VERSION, 2, EGL_NONE };
	EGLContext context;
	EGLConfig config;
	EGLint count;

	if (!eglBindAPI(EGL_OPENGL_ES_API) ||
	    !eglChooseConfig(display, wanted, &config, 1, &count) || !count)
		return EGL_NO_CONTEXT;
	context = eglCreateContext(display, config, EGL_NO_CONTEXT, version);
	if (!eglMakeCurrent(display, EGL_NO_SURFACE, EGL_NO_SURFACE, context))
		return EGL_NO_CONTEXT;
	return context;
}

FIXTURE_SETUP(egl)
{
	self->device = render_open();
	ASSERT_LE(0, self->device);
	/* Mesa has no hardware driver for the node. */
	setenv("LIBGL_ALWAYS_SOFTWARE", "1", 1);
	if (variant->gbm) {
		self->gbm = gbm_create_device(self->device);
		ASSERT_NE(NULL, self->gbm);
		self->display = eglGetPlatformDisplay(EGL_PLATFORM_GBM_MESA, self->gbm, NULL);
	} else {
		self->display = eglGetPlatformDisplay(EGL_PLATFORM_SURFACELESS_MESA,
						      EGL_DEFAULT_DISPLAY, NULL);
	}
	ASSERT_EQ(EGL_TRUE, eglInitialize(self->display, NULL, NULL));
	/* Mesa offers it only if /dev/udmabuf is accessible. */
	ASSERT_NE(NULL, strstr(eglQueryString(self->display, EGL_EXTENSIONS),
			       "EGL_ANDROID_native_fence_sync"));
	self->context = context_of(self->display);
	ASSERT_NE(EGL_NO_CONTEXT, self->context);
	self->create_sync = (PFNEGLCREATESYNCKHRPROC)eglGetProcAddress("eglCreateSyncKHR");
	self->destroy_sync = (PFNEGLDESTROYSYNCKHRPROC)eglGetProcAddress("eglDestroySyncKHR");
	self->client_wait = (PFNEGLCLIENTWAITSYNCKHRPROC)eglGetProcAddress("eglClientWaitSyncKHR");
	self->wait_sync = (PFNEGLWAITSYNCKHRPROC)eglGetProcAddress("eglWaitSyncKHR");
	self->dup_fence = (PFNEGLDUPNATIVEFENCEFDANDROIDPROC)
		eglGetProcAddress("eglDupNativeFenceFDANDROID");
	glGenTextures(1, &self->texture);
	glBindTexture(GL_TEXTURE_2D, self->texture);
	glTexImage2D(GL_TEXTURE_2D, 0, GL_RGBA, SIZE, SIZE, 0, GL_RGBA, GL_UNSIGNED_BYTE, NULL);
	glGenFramebuffers(1, &self->framebuffer);
	glBindFramebuffer(GL_FRAMEBUFFER, self->framebuffer);
	glFramebufferTexture2D(GL_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_TEXTURE_2D, self->texture,
			       0);
	ASSERT_EQ(GL_FRAMEBUFFER_COMPLETE, glCheckFramebufferStatus(GL_FRAMEBUFFER));
}

FIXTURE_TEARDOWN(egl)
{
	/* The process ends: the contexts end with it. */
	close(self->device);
}

/* Returns the sync of @fence, which EGL then owns; of -1, the sync of the commands so far. */
static EGLSyncKHR sync_of(FIXTURE_DATA(egl) *self, int fence)
{
	const EGLint attributes[] = { EGL_SYNC_NATIVE_FENCE_FD_ANDROID, fence, EGL_NONE };

	return self->create_sync(self->display, EGL_SYNC_NATIVE_FENCE_ANDROID, attributes);
}

/* Clears the framebuffer to red. */
static void draw(void)
{
	glClearColor(1, 0, 0, 1);
	glClear(GL_COLOR_BUFFER_BIT);
}

TEST_F(egl, client_waits_for_a_fence)
{
	int in = pending_fence(self->device, &variant->outcome);
	EGLSyncKHR sync = sync_of(self, dup(in));

	ASSERT_NE(EGL_NO_SYNC_KHR, sync);
	EXPECT_EQ(EGL_CONDITION_SATISFIED_KHR,
		  self->client_wait(self->display, sync, 0, PATIENCE_MS * MSEC));
	EXPECT_EQ(variant->outcome.status, fence_status(in));
	EXPECT_EQ(EGL_TRUE, self->destroy_sync(self->display, sync));
}

/* The commands after eglWaitSyncKHR() run when the fence has signalled, with an error or not. */
TEST_F(egl, commands_wait_for_a_fence)
{
	int in = pending_fence(self->device, &variant->outcome);
	EGLSyncKHR sync = sync_of(self, dup(in));
	__u32 pixel = 0;

	ASSERT_NE(EGL_NO_SYNC_KHR, sync);
	ASSERT_EQ(EGL_TRUE, self->wait_sync(self->display, sync, 0));
	draw();
	glReadPixels(0, 0, 1, 1, GL_RGBA, GL_UNSIGNED_BYTE, &pixel);
	EXPECT_EQ(0xff0000ff, pixel);
	EXPECT_EQ(variant->outcome.status, fence_status(in));
	EXPECT_EQ(GL_NO_ERROR, glGetError());
}

/* The job waits for the commands, which wait for the in-fence. No error reaches the job. */
TEST_F(egl, job_waits_for_commands)
{
	int in = pending_fence(self->device, &variant->outcome), out, fence;
	EGLSyncKHR wait = sync_of(self, dup(in)), sync;

	ASSERT_NE(EGL_NO_SYNC_KHR, wait);
	ASSERT_EQ(EGL_TRUE, self->wait_sync(self->display, wait, 0));
	draw();
	sync = sync_of(self, EGL_NO_NATIVE_FENCE_FD_ANDROID);
	ASSERT_NE(EGL_NO_SYNC_KHR, sync);
	glFlush();
	out = self->dup_fence(self->display, sync);
	ASSERT_LE(0, out);
	fence = submit_after(self->device, timer_queue(self->device), 0, out);
	ASSERT_LE(0, fence);
	EXPECT_EQ(1, fence_wait(fence));
	EXPECT_EQ(variant->outcome.status, fence_status(in));
}

int main(int argc, char **argv)
{
	return run_as_user(NULL, argc, argv);
}
