#include "traps.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <map>
#include <mutex>
#include <pthread.h>
#include <sys/mman.h>
#include <thread>
#include <ucontext.h>

namespace {

thread_local TrapFrame* current __attribute__((tls_model("initial-exec"))) = nullptr;

const int SIGNALS[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
struct sigaction previous[65];

#if defined(__x86_64__)
/**
 * A GPU's integer division does not trap: by zero it gives all ones, and the least integer by -1 stays itself. Does that for the
 * division instruction at the place of the signal and steps over it. False: it is another instruction.
 */
bool stepOverDivision(ucontext_t* context) {
  greg_t* regs = context->uc_mcontext.gregs;
  const unsigned char* code = reinterpret_cast<const unsigned char*>(regs[REG_RIP]);
  const unsigned char* at = code;
  bool wide = false, half = false;
  for (;; at++) {
    if (*at == 0x66) half = true;
    else if (*at != 0x2e && *at != 0x3e && *at != 0x26 && *at != 0x36 && *at != 0x64 && *at != 0x65) break;
  }
  if ((*at & 0xf0) == 0x40) wide = (*at++ & 8) != 0;
  if (*at != 0xf7 && *at != 0xf6) return false;
  const bool byte = *at++ == 0xf6;
  const unsigned modrm = *at++, mode = modrm >> 6, kind = (modrm >> 3) & 7, base = modrm & 7;
  if (kind != 6 && kind != 7) return false;
  if (mode != 3) {
    if (base == 4) {
      const unsigned sib = *at++;
      if (mode == 0 && (sib & 7) == 5) at += 4;
    } else if (mode == 0 && base == 5) {
      at += 4;
    }
    if (mode == 1) at += 1;
    else if (mode == 2) at += 4;
  }
  // The handler does not know the divisor. A signed dividend that is the least integer over -1 and a division by zero differ in it,
  // so the result is what suits both where the dividend can be the least integer.
  const uint64_t low = static_cast<uint64_t>(regs[REG_RAX]);
  if (byte) {
    regs[REG_RAX] = static_cast<greg_t>((low & ~0xffffull) | 0xff | ((low & 0xff) << 8));
  } else if (wide) {
    const bool least = kind == 7 && low == 0x8000000000000000ull;
    regs[REG_RDX] = least ? 0 : static_cast<greg_t>(low);
    regs[REG_RAX] = least ? static_cast<greg_t>(low) : -1;
  } else if (half) {
    regs[REG_RDX] = static_cast<greg_t>((static_cast<uint64_t>(regs[REG_RDX]) & ~0xffffull) | (low & 0xffff));
    regs[REG_RAX] = static_cast<greg_t>(low | 0xffff);
  } else {
    const bool least = kind == 7 && static_cast<uint32_t>(low) == 0x80000000u;
    regs[REG_RDX] = least ? 0 : static_cast<greg_t>(low & 0xffffffffull);
    regs[REG_RAX] = least ? static_cast<greg_t>(0x80000000ull) : static_cast<greg_t>(0xffffffffull);
  }
  regs[REG_RIP] = reinterpret_cast<greg_t>(at);
  return true;
}
#endif

void handle(int number, siginfo_t* info, void* raw) {
  TrapFrame* frame = current;
  if (frame != nullptr) {
#if defined(__x86_64__)
    auto* context = static_cast<ucontext_t*>(raw);
    if (number == SIGFPE && info->si_code == FPE_INTDIV && stepOverDivision(context)) return;
    frame->write = number == SIGSEGV && (context->uc_mcontext.gregs[REG_ERR] & 2) != 0;
#endif
    frame->signal = number;
    frame->address = reinterpret_cast<uint64_t>(info->si_addr);
    // SI_KERNEL: a general protection fault, which has no address.
    frame->general = number == SIGSEGV && info->si_code == SI_KERNEL;
    siglongjmp(frame->escape, 1);
  }
  if (number == watchdogSignal()) return;
  // Not ours: V8 catches accesses out of bounds of WebAssembly this way.
  const struct sigaction& old = previous[number];
  if ((old.sa_flags & SA_SIGINFO) != 0 && old.sa_sigaction != nullptr) {
    old.sa_sigaction(number, info, raw);
  } else if (old.sa_handler == SIG_DFL || old.sa_handler == nullptr) {
    sigaction(number, &old, nullptr);
  } else if (old.sa_handler != SIG_IGN) {
    old.sa_handler(number);
  }
}

void install() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action{};
    action.sa_sigaction = handle;
    // The handler is left by siglongjmp, so its signal must not stay blocked.
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigemptyset(&action.sa_mask);
    for (int number : SIGNALS) sigaction(number, &action, &previous[number]);
    sigaction(watchdogSignal(), &action, &previous[watchdogSignal()]);
  });
}

/** A stack for the handler: the fault may be a fiber's stack that overflows. */
void ensureSignalStack() {
  thread_local bool done = false;
  if (done) return;
  done = true;
  stack_t now{};
  if (sigaltstack(nullptr, &now) == 0 && (now.ss_flags & SS_DISABLE) == 0) return;
  stack_t stack{};
  stack.ss_size = 64 << 10;
  stack.ss_sp = mmap(nullptr, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (stack.ss_sp != MAP_FAILED) sigaltstack(&stack, nullptr);
}

using Clock = std::chrono::steady_clock;

struct Watchdog {
  std::mutex lock;
  std::condition_variable changed;
  std::map<pthread_t, Clock::time_point> deadlines;
  bool started = false;

  void loop() {
    std::unique_lock guard(lock);
    for (;;) {
      Clock::time_point next = Clock::now() + std::chrono::seconds(1);
      for (auto entry = deadlines.begin(); entry != deadlines.end();) {
        if (entry->second <= Clock::now()) {
          pthread_kill(entry->first, watchdogSignal());
          entry = deadlines.erase(entry);
        } else {
          if (entry->second < next) next = entry->second;
          ++entry;
        }
      }
      changed.wait_until(guard, next);
    }
  }
};
Watchdog& watchdog() {
  static auto* made = new Watchdog;
  return *made;
}

}  // namespace

int watchdogSignal() {
  return SIGRTMIN + 11;
}

void armTraps(TrapFrame& frame) {
  install();
  ensureSignalStack();
  frame.outer = current;
  current = &frame;
}

void disarmTraps(TrapFrame& frame) {
  current = frame.outer;
}

void watch(double seconds) {
  Watchdog& dog = watchdog();
  std::lock_guard guard(dog.lock);
  if (!dog.started) {
    dog.started = true;
    std::thread([&dog] { dog.loop(); }).detach();
  }
  dog.deadlines[pthread_self()] =
      Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

void unwatch() {
  Watchdog& dog = watchdog();
  std::lock_guard guard(dog.lock);
  dog.deadlines.erase(pthread_self());
}
