/** Signals of the processor, turned into failures of the launch that caused them. */
#pragma once

#include <csetjmp>
#include <csignal>
#include <cstdint>

/** What the handler needs to leave a launch, and what it saw. One for every launch that runs; per thread. */
struct TrapFrame {
  sigjmp_buf escape;
  int signal = 0;
  uint64_t address = 0;
  bool write = false;
  /** The address is not known: misaligned for a vector instruction, or not canonical. */
  bool general = false;
  TrapFrame* outer = nullptr;
};

/** Makes traps of this thread go to `frame` until `disarm`. Installs the handlers on first use. */
void armTraps(TrapFrame& frame);
void disarmTraps(TrapFrame& frame);

/** The number that `TrapFrame::signal` has when the watchdog ended the launch. */
int watchdogSignal();
/** Ends what the calling thread runs, with `watchdogSignal`, unless `unwatch` comes first. */
void watch(double seconds);
void unwatch();
