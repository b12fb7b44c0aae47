/* SPDX-License-Identifier: GPL-2.0 */
/* lavapipe, Mesa's Vulkan driver for the CPU: a queue that fills a buffer, and its semaphores. */
#ifndef CLIENTS_LAVAPIPE_H
#define CLIENTS_LAVAPIPE_H

#include <vulkan/vulkan.h>
#include "fixture.h"

#define SIZE 65536
#define EMPTY 0x11111111
#define FILLED 0x22222222

struct lavapipe {
	VkPhysicalDevice physical;
	VkDevice vulkan;
	VkQueue queue;
	VkCommandPool pool;
	VkCommandBuffer commands;
	/* The submissions write this buffer, which the CPU sees as @words. */
	VkBuffer buffer;
	VkDeviceMemory memory;
	__u32 *words;
	/* Each submission signals this fence. */
	VkFence fence;
	PFN_vkImportSemaphoreFdKHR import_semaphore;
	PFN_vkGetSemaphoreFdKHR export_semaphore;
	PFN_vkImportFenceFdKHR import_fence;
};

/* Returns the driver that runs on the CPU, or VK_NULL_HANDLE. */
static inline VkPhysicalDevice software_device(VkInstance instance)
{
	VkPhysicalDevice devices[16], found = VK_NULL_HANDLE;
	uint32_t count = ARRAY_LEN(devices);

	if (vkEnumeratePhysicalDevices(instance, &count, devices) < 0)
		return found;
	for (uint32_t i = 0; i < count; i++) {
		VkPhysicalDeviceProperties properties;

		vkGetPhysicalDeviceProperties(devices[i], &properties);
		if (properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU)
			found = devices[i];
	}
	return found;
}

/* Returns whether the driver imports sync_files as semaphores and exports them. */
static inline bool has_sync_files(VkPhysicalDevice physical)
{
	const VkPhysicalDeviceExternalSemaphoreInfo info = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_SEMAPHORE_INFO,
		.handleType = VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_SYNC_FD_BIT,
	};
	VkExternalSemaphoreProperties properties = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_SEMAPHORE_PROPERTIES,
	};
	const VkExternalSemaphoreFeatureFlags needed =
		VK_EXTERNAL_SEMAPHORE_FEATURE_IMPORTABLE_BIT |
		VK_EXTERNAL_SEMAPHORE_FEATURE_EXPORTABLE_BIT;

	vkGetPhysicalDeviceExternalSemaphoreProperties(physical, &info, &properties);
	return (properties.externalSemaphoreFeatures & needed) == needed;
}

/* Returns the type of memory that the CPU reads and writes without flushes. */
static inline uint32_t host_memory(VkPhysicalDevice physical, uint32_t allowed)
{
	const VkMemoryPropertyFlags needed = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
					     VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
	VkPhysicalDeviceMemoryProperties memory;

	vkGetPhysicalDeviceMemoryProperties(physical, &memory);
	for (uint32_t i = 0; i < memory.memoryTypeCount; i++)
		if (allowed & 1U << i && (memory.memoryTypes[i].propertyFlags & needed) == needed)
			return i;
	return 0;
}

/* Creates a buffer in @dma_buf, which Vulkan then owns, or in memory of its own if that is -1. */
static inline VkResult buffer_in(VkPhysicalDevice physical, VkDevice vulkan, int dma_buf,
			  VkBuffer *buffer, VkDeviceMemory *memory)
{
	const VkExternalMemoryBufferCreateInfo external = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO,
		.handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT,
	};
	const VkBufferCreateInfo create = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
		.pNext = dma_buf < 0 ? NULL : &external,
		.size = SIZE,
		.usage = VK_BUFFER_USAGE_TRANSFER_DST_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT,
	};
	const VkImportMemoryFdInfoKHR import = {
		.sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR,
		.handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT,
		.fd = dma_buf,
	};
	VkMemoryAllocateInfo allocate = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.pNext = dma_buf < 0 ? NULL : &import,
	};
	VkMemoryRequirements requirements;
	VkResult result = vkCreateBuffer(vulkan, &create, NULL, buffer);

	if (result)
		return result;
	vkGetBufferMemoryRequirements(vulkan, *buffer, &requirements);
	allocate.allocationSize = requirements.size;
	allocate.memoryTypeIndex = host_memory(physical, requirements.memoryTypeBits);
	result = vkAllocateMemory(vulkan, &allocate, NULL, memory);
	return result ? result : vkBindBufferMemory(vulkan, *buffer, *memory, 0);
}

/* Creates the device of the driver, with the extensions that the cases need. */
static inline VkResult vulkan_device(VkPhysicalDevice physical, VkDevice *vulkan)
{
	static const char *const extensions[] = {
		VK_KHR_EXTERNAL_SEMAPHORE_FD_EXTENSION_NAME,
		VK_KHR_EXTERNAL_FENCE_FD_EXTENSION_NAME,
		VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME,
		VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME,
	};
	const float priority = 1;
	const VkDeviceQueueCreateInfo queue = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
		.queueCount = 1,
		.pQueuePriorities = &priority,
	};
	const VkDeviceCreateInfo create = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
		.queueCreateInfoCount = 1,
		.pQueueCreateInfos = &queue,
		.enabledExtensionCount = ARRAY_LEN(extensions),
		.ppEnabledExtensionNames = extensions,
	};

	return vkCreateDevice(physical, &create, NULL, vulkan);
}

/* Creates a pool, and one command buffer of it that is not recorded. */
static inline VkResult command_buffer(VkDevice vulkan, VkCommandPool *pool,
				      VkCommandBuffer *commands)
{
	const VkCommandPoolCreateInfo create = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
	};
	VkCommandBufferAllocateInfo allocate = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
		.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
		.commandBufferCount = 1,
	};
	VkResult result = vkCreateCommandPool(vulkan, &create, NULL, pool);

	allocate.commandPool = *pool;
	return result ? result : vkAllocateCommandBuffers(vulkan, &allocate, commands);
}

/* Returns NULL, or why the driver cannot be used. */
static inline const char *lavapipe_open(struct lavapipe *self)
{
	const VkApplicationInfo application = {
		.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO, .apiVersion = VK_API_VERSION_1_1,
	};
	const VkInstanceCreateInfo create = {
		.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO, .pApplicationInfo = &application,
	};
	const VkFenceCreateInfo fence = { .sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO };
	VkInstance instance;

	if (vkCreateInstance(&create, NULL, &instance))
		return "there is no Vulkan";
	self->physical = software_device(instance);
	if (!self->physical)
		return "there is no Vulkan driver for the CPU";
	if (!has_sync_files(self->physical))
		return "the driver has no sync_files: is /dev/udmabuf accessible?";
	if (vulkan_device(self->physical, &self->vulkan) ||
	    command_buffer(self->vulkan, &self->pool, &self->commands) ||
	    buffer_in(self->physical, self->vulkan, -1, &self->buffer, &self->memory) ||
	    vkMapMemory(self->vulkan, self->memory, 0, SIZE, 0, (void **)&self->words) ||
	    vkCreateFence(self->vulkan, &fence, NULL, &self->fence))
		return "the driver has failed";
	vkGetDeviceQueue(self->vulkan, 0, 0, &self->queue);
	self->words[0] = EMPTY;
	self->import_semaphore = (PFN_vkImportSemaphoreFdKHR)
		vkGetDeviceProcAddr(self->vulkan, "vkImportSemaphoreFdKHR");
	self->export_semaphore = (PFN_vkGetSemaphoreFdKHR)
		vkGetDeviceProcAddr(self->vulkan, "vkGetSemaphoreFdKHR");
	self->import_fence = (PFN_vkImportFenceFdKHR)
		vkGetDeviceProcAddr(self->vulkan, "vkImportFenceFdKHR");
	return NULL;
}

/* Returns a semaphore whose payload is @fence, which Vulkan then owns; or none if that is -1. */
static inline VkSemaphore semaphore_of(struct lavapipe *self, int fence)
{
	const VkExportSemaphoreCreateInfo export = {
		.sType = VK_STRUCTURE_TYPE_EXPORT_SEMAPHORE_CREATE_INFO,
		.handleTypes = VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_SYNC_FD_BIT,
	};
	const VkSemaphoreCreateInfo create = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO, .pNext = &export,
	};
	VkImportSemaphoreFdInfoKHR import = {
		.sType = VK_STRUCTURE_TYPE_IMPORT_SEMAPHORE_FD_INFO_KHR,
		.flags = VK_SEMAPHORE_IMPORT_TEMPORARY_BIT,
		.handleType = VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_SYNC_FD_BIT,
		.fd = fence,
	};

	if (vkCreateSemaphore(self->vulkan, &create, NULL, &import.semaphore))
		return VK_NULL_HANDLE;
	if (fence >= 0 && self->import_semaphore(self->vulkan, &import))
		return VK_NULL_HANDLE;
	return import.semaphore;
}

/*
 * Records and submits a fill of the buffer, or with @source a copy from there. The submission waits
 * for @wait and signals @signal, unless they are VK_NULL_HANDLE, and the fence.
 */
static inline VkResult fill(struct lavapipe *self, VkBuffer source, VkSemaphore wait,
		     VkSemaphore signal)
{
	const VkCommandBufferBeginInfo begin = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
		.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT,
	};
	const VkPipelineStageFlags stage = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
	const VkBufferCopy region = { .size = SIZE };
	const VkSubmitInfo submit = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.waitSemaphoreCount = wait != VK_NULL_HANDLE,
		.pWaitSemaphores = &wait,
		.pWaitDstStageMask = &stage,
		.commandBufferCount = 1,
		.pCommandBuffers = &self->commands,
		.signalSemaphoreCount = signal != VK_NULL_HANDLE,
		.pSignalSemaphores = &signal,
	};

	vkBeginCommandBuffer(self->commands, &begin);
	if (source)
		vkCmdCopyBuffer(self->commands, source, self->buffer, 1, &region);
	else
		vkCmdFillBuffer(self->commands, self->buffer, 0, SIZE, FILLED);
	vkEndCommandBuffer(self->commands);
	return vkQueueSubmit(self->queue, 1, &submit, self->fence);
}

static inline VkResult wait_for(struct lavapipe *self, __u64 timeout_ns)
{
	return vkWaitForFences(self->vulkan, 1, &self->fence, VK_TRUE, timeout_ns);
}

#endif /* CLIENTS_LAVAPIPE_H */
