/** Runs the blocks of a launch on the calling thread, the block's threads as fibers. */
#pragma once

#include <cstdint>
#include <string>

#include "module_abi.h"

struct LaunchShape {
  KdDim grid, block;
  unsigned dynamicShared;
};

struct LaunchOrder {
  enum Kind { FORWARD, REVERSE, SHUFFLE } kind = FORWARD;
  uint64_t seed = 0;
};

/** Of KINDLING_STAND_IN_ORDER. False: not understood. */
bool parseOrder(const char* text, LaunchOrder& order);

struct LaunchResult {
  /** A CUresult. */
  int code = 0;
  std::string message;
};

/** Reports what lies at an address: filled in by the driver. */
using DescribeAddress = std::string (*)(uint64_t address);

struct LaunchOptions {
  LaunchOrder order;
  double timeoutSeconds;
  DescribeAddress describe;
};

LaunchResult runLaunch(const KdKernel& kernel, const KdModule& module, const LaunchShape& shape, const unsigned char* arguments,
                       const LaunchOptions& options);

/** Runs a host function with traps caught as in kernels. */
LaunchResult runGuarded(const char* name, void (*run)(void*), void* data, const LaunchOptions& options);

/** NaN in every floating format, and an integer that nobody takes for a value. */
constexpr uint16_t POISON = 0x7ff5;
void poisonMemory(void* at, size_t bytes);
