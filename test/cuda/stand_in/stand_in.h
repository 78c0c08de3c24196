/**
 * What the stand-in's libcuda offers beside the driver's interface: for the stand-ins of other libraries, and for tests (control.cpp). Its
 * environment variables:
 *
 *     KINDLING_STAND_IN_DEVICES      how many devices there are (1)
 *     KINDLING_STAND_IN_MEMORY       bytes that can really be allocated on each (1 GiB)
 *     KINDLING_STAND_IN_ORDER        in which order blocks and threads run: forward, reverse, shuffle:SEED
 *     KINDLING_STAND_IN_SYNC=1       work is done within the call that asks for it
 *     KINDLING_STAND_IN_NOOP=1       launches do nothing
 *     KINDLING_STAND_IN_CHECK=1      allocations end at a page that nobody may touch
 *     KINDLING_STAND_IN_TIMEOUT      seconds after which a launch is ended (60)
 *     KINDLING_STAND_IN_DRIVER       what cuDriverGetVersion says (12080)
 *     KINDLING_STAND_IN_LOG=1        failures of kernels are written to standard error
 *     KINDLING_STAND_IN_CONTROL      commands for kindling_stand_in_control, separated by semicolons, carried out by cuInit
 */
#pragma once

#include <cstddef>

extern "C" {
/**
 * Puts work into a stream, in order, and into graphs that are captured of it. `run` gets a copy of `data`, every time it runs, on the
 * stream's thread; illegal accesses in it become the device's errors. Returns a CUresult.
 */
int kindling_stand_in_enqueue(void* stream, const char* name, void (*run)(void* data), const void* data, size_t bytes);

/**
 * Carries out a command and gives its answer, good until the thread's next call. An answer that begins with "error: " says why not.
 *
 *     order ORDER | sync 0/1 | noop 0/1 | check 0/1 | memory BYTES | timeout SECONDS      as in the environment
 *     fail FUNCTION NTH CODE [TIMES]    the NTH call of a function from now on (1: the next) returns CODE; TIMES in a row
 *     lose DEVICE [CODE]                the device's context is unusable from now on (719)
 *     delay launch|copy MICROSECONDS    every such operation takes that much longer
 *     hold | release                    streams stop before their next operation, and go on
 *     clear                             ends fail, delay, hold
 *     report                            what the last kernel did that failed, or nothing
 *     counts | reset counts             calls of each function as JSON
 *     objects                           what exists as JSON: allocations, bytes, hostAllocations, streams, events, modules, graphs, contexts
 */
const char* kindling_stand_in_control(const char* command);
}
