/**
 * What a compiled unit (the stand-in's "CUBIN", a shared object) and the stand-in's driver know of each other. Included by both; no
 * headers. KD_ABI is a hash of the shim, so that a unit that was kept from another build is refused.
 */
#pragma once

struct KdDim {
  unsigned x, y, z;
};

/** Where a unit's code reads who it is. One per unit: a unit runs one launch at a time. */
struct KdThread {
  KdDim thread, block, blockSize, grid;
  unsigned char* dynamicShared;
};

struct KdParam {
  unsigned offset, size;
};

struct KdKernel {
  const char* name;
  /** Runs one thread. The parameters lie in `arguments` with natural alignment. */
  void (*entry)(const unsigned char* arguments);
  const KdParam* params;
  unsigned paramCount;
  unsigned paramBytes;
  /** Of __launch_bounds__, or 0. */
  unsigned maxThreads;
  /** Its static __shared__ memory. */
  unsigned char *sharedBegin, *sharedEnd;
};

struct KdModule {
  unsigned long long abi;
  KdThread* self;
  const KdKernel* kernels;
  unsigned kernelCount;
  /** Static __shared__ memory of functions that kernels call; null: there is none. */
  unsigned char *sharedBegin, *sharedEnd;
};

enum {
  KD_WARP = 32,
  /** Most bytes that a lane gives to one exchange. */
  KD_SLOT = 128,
};

/** Why the threads of a warp meet. Lanes that meet for different reasons have diverged. */
enum KdMeeting {
  KD_SYNCWARP = 1,
  KD_SHUFFLE,
  KD_VOTE,
  KD_MATCH,
  KD_REDUCE,
  KD_MMA,
};

extern "C" {
/** All threads of the block meet; `site` tells places apart. `votes`: whether this thread says yes; returns how many do. */
unsigned kd_barrier(unsigned site, unsigned vote);
/**
 * All lanes in `mask` meet. Each gives `bytes` bytes; the result is the table of all 32 lanes' bytes, KD_SLOT apart, good until
 * the lane's next exchange. Slots of lanes outside of the mask are poisoned.
 */
const unsigned char* kd_exchange(unsigned mask, unsigned meeting, const void* mine, unsigned bytes);
unsigned kd_lane();
/** Ends the launch as `asm("trap;")` does. */
[[noreturn]] void kd_trap(const char* message);

/** cp.async: nothing arrives before the wait; until then the destination is poison. */
void kd_async_copy(void* to, const void* from, unsigned bytes, unsigned valid);
void kd_async_commit();
/** Waits until at most `pending` of this thread's groups have not arrived. */
void kd_async_wait(unsigned pending);
}
