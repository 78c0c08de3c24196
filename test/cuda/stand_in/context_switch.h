/** Switching between stacks: a few instructions on x86-64, ucontext elsewhere. Signal masks are not touched. */
#pragma once

#include <cstddef>

#if defined(__x86_64__)

struct SwitchPoint {
  void* stack = nullptr;
};

extern "C" void kd_switch(void** from, void* to);
asm(R"(
  .text
  .type kd_switch, @function
kd_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .size kd_switch, .-kd_switch
)");

/** Makes `point` begin in `entry` (which never returns) on the stack [low, low + bytes). */
inline void preparePoint(SwitchPoint& point, unsigned char* low, size_t bytes, void (*entry)()) {
  // At the entry of a function the stack is 8 below a multiple of 16.
  void** top = reinterpret_cast<void**>(low + bytes / 16 * 16 - 64);
  top[0] = reinterpret_cast<void*>(entry);
  top[1] = nullptr;
  point.stack = top - 6;
}
inline void switchTo(SwitchPoint& from, SwitchPoint& to) {
  kd_switch(&from.stack, to.stack);
}

#else

#include <ucontext.h>

struct SwitchPoint {
  ucontext_t context;
};

inline void preparePoint(SwitchPoint& point, unsigned char* low, size_t bytes, void (*entry)()) {
  getcontext(&point.context);
  point.context.uc_stack.ss_sp = low;
  point.context.uc_stack.ss_size = bytes;
  point.context.uc_link = nullptr;
  makecontext(&point.context, entry, 0);
}
inline void switchTo(SwitchPoint& from, SwitchPoint& to) {
  swapcontext(&from.context, &to.context);
}

#endif
