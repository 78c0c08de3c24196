#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <unistd.h>

#include "driver.h"
#include "stand_in.h"

std::atomic<bool> driverStarted{false};
ObjectCounts objectCounts;

namespace {

struct Fault {
  unsigned long long calls;
  unsigned long long times;
  int code;
};

/** Never destroyed: threads outlive the end of main. */
struct Registry {
  std::mutex lock;
  std::vector<CallSite*> sites;
  std::map<std::string, Fault> faults;
  std::string report;
};
Registry& registry() {
  static auto* made = new Registry;
  return *made;
}
std::atomic<bool> faultsExist{false};

const char* environment(const char* name) {
  const char* text = getenv(name);
  return text != nullptr && *text != 0 ? text : nullptr;
}
bool flag(const char* name) {
  const char* text = environment(name);
  return text != nullptr && strcmp(text, "0") != 0;
}

}  // namespace

Settings& settings() {
  static Settings* const made = [] {
    auto* s = new Settings;
    if (const char* text = environment("KINDLING_STAND_IN_DEVICES")) s->devices = atoi(text);
    if (const char* text = environment("KINDLING_STAND_IN_DRIVER")) s->driverVersion = atoi(text);
    if (const char* text = environment("KINDLING_STAND_IN_MEMORY")) s->memory = strtoull(text, nullptr, 10);
    if (const char* text = environment("KINDLING_STAND_IN_TIMEOUT")) s->timeout = atof(text);
    s->sync = flag("KINDLING_STAND_IN_SYNC");
    s->noop = flag("KINDLING_STAND_IN_NOOP");
    s->check = flag("KINDLING_STAND_IN_CHECK");
    s->log = flag("KINDLING_STAND_IN_LOG");
    const char* order = environment("KINDLING_STAND_IN_ORDER");
    if (!parseOrder(order, s->order)) {
      fprintf(stderr, "KINDLING_STAND_IN_ORDER is \"%s\"; it may be forward, reverse, or shuffle:SEED\n", order);
      abort();
    }
    return s;
  }();
  return *made;
}

LaunchOptions launchOptions() {
  Settings& s = settings();
  std::lock_guard guard(s.lock);
  return {s.order, s.timeout, describeAddress};
}

void waitWhileHeld() {
  Settings& s = settings();
  std::unique_lock guard(s.lock);
  s.released.wait(guard, [&] { return !s.held; });
}

void noteFailure(const std::string& message) {
  if (message.empty()) return;
  {
    std::lock_guard guard(registry().lock);
    registry().report = message;
  }
  if (settings().log) fprintf(stderr, "stand-in for CUDA: %s\n", message.c_str());
}

CallSite::CallSite(const char* symbol) : name(symbol) {
  // Names without versions.
  if (const size_t at = name.rfind("_v"); at != std::string::npos && at + 3 == name.size()) name.resize(at);
  std::lock_guard guard(registry().lock);
  registry().sites.push_back(this);
}

CUresult CallSite::enter() {
  calls.fetch_add(1, std::memory_order_relaxed);
  if (faultsExist.load(std::memory_order_relaxed)) {
    std::lock_guard guard(registry().lock);
    const auto fault = registry().faults.find(name);
    if (fault != registry().faults.end()) {
      Fault& f = fault->second;
      if (f.calls > 1) {
        f.calls--;
      } else {
        const int code = f.code;
        if (--f.times == 0) registry().faults.erase(fault);
        return static_cast<CUresult>(code);
      }
    }
  }
  if (!driverStarted.load(std::memory_order_relaxed)) return CUDA_ERROR_NOT_INITIALIZED;
  return CUDA_SUCCESS;
}

namespace {

std::string counts() {
  std::string text = "{";
  std::map<std::string, unsigned long long> sums;
  for (const CallSite* site : registry().sites) sums[site->name] += site->calls;
  for (const auto& [name, calls] : sums) {
    if (calls > 0) text += (text.size() > 1 ? ", \"" : "\"") + name + "\": " + std::to_string(calls);
  }
  return text + "}";
}

std::string objects() {
  size_t allocations = 0, bytes = 0, host = 0;
  memoryCounts(allocations, bytes, host);
  std::ostringstream text;
  text << "{\"allocations\": " << allocations << ", \"bytes\": " << bytes << ", \"hostAllocations\": " << host
       << ", \"contexts\": " << objectCounts.contexts << ", \"streams\": " << objectCounts.streams
       << ", \"events\": " << objectCounts.events << ", \"modules\": " << objectCounts.modules
       << ", \"graphs\": " << objectCounts.graphs << "}";
  return text.str();
}

void setHeld(bool held) {
  Settings& s = settings();
  std::lock_guard guard(s.lock);
  s.held = held;
  s.released.notify_all();
}

std::string control(const std::string& command) {
  std::istringstream in(command);
  std::string verb, word;
  in >> verb;
  Settings& s = settings();
  const auto number = [&](auto& to) {
    double value = 0;
    if (!(in >> value)) return false;
    to = static_cast<std::remove_reference_t<decltype(to.load())>>(value);
    return true;
  };
  const std::string unclear = "error: the command \"" + command + "\" is not understood; see stand_in.h";
  if (verb == "order") {
    in >> word;
    std::lock_guard guard(s.lock);
    return parseOrder(word.c_str(), s.order) ? "" : unclear;
  }
  if (verb == "sync") return number(s.sync) ? "" : unclear;
  if (verb == "noop") return number(s.noop) ? "" : unclear;
  if (verb == "check") return number(s.check) ? "" : unclear;
  if (verb == "memory") return number(s.memory) ? "" : unclear;
  if (verb == "timeout") return number(s.timeout) ? "" : unclear;
  if (verb == "fail") {
    Fault fault{1, 1, 0};
    if (!(in >> word >> fault.calls >> fault.code)) return unclear;
    if (!(in >> fault.times)) fault.times = 1;
    bool known = false;
    for (const CallSite* site : registry().sites) known = known || site->name == word;
    if (!known) return "error: the stand-in has no function " + word;
    std::lock_guard guard(registry().lock);
    registry().faults[word] = fault;
    faultsExist = true;
    return "";
  }
  if (verb == "lose") {
    int device = 0, code = CUDA_ERROR_LAUNCH_FAILED;
    if (!(in >> device)) return unclear;
    if (int given = 0; in >> given) code = given;
    failDevice(device, code);
    return "";
  }
  if (verb == "delay") {
    in >> word;
    if (word == "launch") return number(s.launchDelay) ? "" : unclear;
    if (word == "copy") return number(s.copyDelay) ? "" : unclear;
    return unclear;
  }
  if (verb == "hold" || verb == "release") {
    setHeld(verb == "hold");
    return "";
  }
  if (verb == "clear") {
    setHeld(false);
    s.launchDelay = s.copyDelay = 0;
    std::lock_guard guard(registry().lock);
    registry().faults.clear();
    faultsExist = false;
    return "";
  }
  if (verb == "report") {
    std::lock_guard guard(registry().lock);
    return std::exchange(registry().report, "");
  }
  if (verb == "counts") return counts();
  if (verb == "reset") {
    for (CallSite* site : registry().sites) site->calls = 0;
    return "";
  }
  if (verb == "objects") return objects();
  return unclear;
}

}  // namespace

EXPORT const char* kindling_stand_in_control(const char* command) {
  thread_local std::string answer;
  answer = control(command);
  return answer.c_str();
}
