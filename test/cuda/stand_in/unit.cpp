#include "unit.h"

#include <cctype>
#include <cstring>

namespace {

bool isWord(char c) {
  return isalnum(static_cast<unsigned char>(c)) || c == '_';
}

class Scanner {
 public:
  Scanner(const std::string& text, const std::string& name) : text_(text), name_(name) {
    unit_.source.reserve(text.size() + 4096);
    while (at_ < text_.size() && unit_.error.empty()) step();
  }
  Unit take() { return std::move(unit_); }

 private:
  const std::string& text_;
  const std::string& name_;
  Unit unit_;
  size_t at_ = 0;
  unsigned line_ = 1;
  bool lineStart_ = true;
  int depth_ = 0;
  /** Where the kernel that is being read has its body: the depth outside of it, or -1. */
  int kernelDepth_ = -1;
  bool kernelBegins_ = false;
  bool externC_ = false;

  void fail(const std::string& message) { unit_.error = name_ + "(" + std::to_string(line_) + "): error: " + message + "\n"; }
  void put(size_t end) {
    for (; at_ < end; at_++) {
      if (text_[at_] == '\n') line_++;
      unit_.source += text_[at_];
    }
  }
  size_t find(const char* what, size_t from) const {
    const size_t found = text_.find(what, from);
    return found == std::string::npos ? text_.size() : found;
  }
  size_t skipSpace(size_t from) const {
    for (;;) {
      while (from < text_.size() && isspace(static_cast<unsigned char>(text_[from]))) from++;
      if (text_.compare(from, 2, "//") == 0) from = find("\n", from);
      else if (text_.compare(from, 2, "/*") == 0) from = std::min(find("*/", from) + 2, text_.size());
      else return from;
    }
  }
  size_t wordEnd(size_t from) const {
    while (from < text_.size() && isWord(text_[from])) from++;
    return from;
  }
  /** After the parenthesis that closes the one at `from`. */
  size_t closed(size_t from) const {
    int depth = 0;
    for (; from < text_.size(); from++) {
      if (text_[from] == '(') depth++;
      else if (text_[from] == ')' && --depth == 0) return from + 1;
    }
    return from;
  }

  void step() {
    const char c = text_[at_];
    if (c == '\n') {
      put(at_ + 1);
      lineStart_ = true;
      return;
    }
    if (c == '#' && lineStart_) return directive();
    if (isspace(static_cast<unsigned char>(c))) return put(at_ + 1);
    lineStart_ = false;
    if (text_.compare(at_, 2, "//") == 0) return put(find("\n", at_));
    if (text_.compare(at_, 2, "/*") == 0) return put(std::min(find("*/", at_) + 2, text_.size()));
    if (c == '"' || c == '\'') return literal(c);
    if (isalpha(static_cast<unsigned char>(c)) || c == '_') return word();
    if (isdigit(static_cast<unsigned char>(c))) {
      // A number may have quotes in it.
      size_t end = at_;
      while (end < text_.size() && (isWord(text_[end]) || text_[end] == '.' || text_[end] == '\'')) end++;
      return put(end);
    }
    if (c == '{') {
      if (kernelBegins_) {
        kernelBegins_ = false;
        kernelDepth_ = depth_;
      }
      depth_++;
    } else if (c == '}') {
      if (--depth_ == kernelDepth_) kernelDepth_ = -1;
    }
    if (c == ';' && kernelBegins_) kernelBegins_ = false;
    if (c == ';' || c == '}' || c == '{') externC_ = externC_ && c == '{';
    put(at_ + 1);
  }
  void directive() {
    const size_t name = skipSpace(at_ + 1), end = wordEnd(name);
    if (text_.compare(name, end - name, "include") == 0) {
      const size_t file = skipSpace(end);
      const std::string rest = text_.substr(file, find("\n", file) - file);
      return fail("cannot open source file " + rest + " (there are no headers)");
    }
    // To the end of the line, continued lines included; __shared__ in macros is not replaced.
    size_t stop = at_;
    do stop = find("\n", stop + 1);
    while (stop < text_.size() && text_[stop - 1] == '\\');
    put(stop);
  }
  void literal(char quote) {
    size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != quote && text_[end] != '\n') end += text_[end] == '\\' ? 2 : 1;
    put(std::min(end + 1, text_.size()));
  }
  void word() {
    const size_t end = wordEnd(at_);
    const std::string word = text_.substr(at_, end - at_);
    if (word == "extern") {
      const size_t next = skipSpace(end);
      if (text_.compare(next, 3, "\"C\"") == 0) {
        externC_ = true;
        return put(next + 3);
      }
      if (text_.compare(next, 10, "__shared__") == 0 && !isWord(text_[next + 10])) return dynamicShared(next + 10);
    } else if (word == "__global__") {
      if (externC_) return kernel(end);
    } else if (word == "__shared__") {
      at_ = end;
      if (kernelDepth_ >= 0) unit_.kernels.back().shared = true;
      unit_.source +=
          kernelDepth_ >= 0 ? "KD_SHARED(" + std::to_string(unit_.kernels.size() - 1) + ")" : std::string("KD_SHARED(unit)");
      return;
    }
    put(end);
  }
  /** `extern __shared__ T name[];` with `from` after `__shared__`. */
  void dynamicShared(size_t from) {
    size_t type = skipSpace(from);
    for (const char* align : {"__align__", "alignas"}) {
      if (text_.compare(type, strlen(align), align) == 0) type = skipSpace(closed(type));
    }
    const size_t bracket = find("[", type), end = find(";", type);
    size_t last = bracket;
    while (last > type && isspace(static_cast<unsigned char>(text_[last - 1]))) last--;
    size_t first = last;
    while (first > type && isWord(text_[first - 1])) first--;
    if (bracket > end || first == last || first == type) return fail("the stand-in does not understand this `extern __shared__`");
    if (depth_ == 0) return fail("the stand-in knows `extern __shared__` only within functions");
    unit_.source += "KD_DYNAMIC(" + text_.substr(type, first - type) + ", " + text_.substr(first, last - first) + ")";
    for (size_t i = at_; i < end; i++) {
      if (text_[i] == '\n') line_++, unit_.source += '\n';
    }
    at_ = end;
  }
  void kernel(size_t from) {
    UnitKernel kernel;
    externC_ = false;
    put(from);
    for (;;) {
      size_t start = skipSpace(at_);
      if (start >= text_.size() || !isWord(text_[start])) return fail("no name after __global__");
      const size_t end = wordEnd(start);
      const std::string word = text_.substr(start, end - start);
      const size_t next = skipSpace(end);
      if (word == "__launch_bounds__") {
        const size_t close = closed(next);
        std::string bounds = text_.substr(next + 1, close - next - 2);
        int depth = 0;
        for (size_t i = 0; i < bounds.size(); i++) {
          if (bounds[i] == '(') depth++;
          else if (bounds[i] == ')') depth--;
          else if (bounds[i] == ',' && depth == 0) bounds.resize(i);
        }
        kernel.maxThreads = bounds;
        put(close);
      } else if (text_[next] == '(') {
        kernel.name = word;
        put(closed(next));
        break;
      } else {
        put(end);
      }
    }
    if (text_[skipSpace(at_)] != '{') return;
    unit_.kernels.push_back(kernel);
    kernelBegins_ = true;
  }
};

}  // namespace

Unit makeUnit(const std::string& text, const std::string& name, const std::vector<std::string>& expressions) {
  std::string quoted;
  for (char c : name) quoted += c == '"' || c == '\\' || c == '\n' ? '_' : c;
  Unit unit = Scanner(text, name).take();
  if (!unit.error.empty()) return unit;
  std::string& source = unit.source;
  source.insert(0, "#line 1 \"" + quoted + "\"\n");
  source += "\n#line 1 \"the stand-in's table of kernels\"\n";
  std::string table;
  for (size_t i = 0; i < unit.kernels.size(); i++) {
    const UnitKernel& kernel = unit.kernels[i];
    const std::string number = std::to_string(i), args = "(\"" + kernel.name + "\", " + kernel.name + ", " + kernel.maxThreads;
    if (kernel.shared) source += "KD_SHARED_BOUNDS(" + number + ")\n";
    table += kernel.shared ? "KD_ENTRY_SHARED" + args + ", " + number + "),\n" : "KD_ENTRY" + args + "),\n";
  }
  for (size_t i = 0; i < expressions.size(); i++) {
    table += "KD_ENTRY(\"kd_expression_" + std::to_string(i) + "\", (" + expressions[i] + "), 0),\n";
  }
  const size_t count = unit.kernels.size() + expressions.size();
  source += "static const KdKernel kd_kernels[] = {\n" + table + "{}};\n";
  source += "extern \"C\" __attribute__((visibility(\"default\"))) const KdModule kd_module = {KD_ABI, &kd_self, kd_kernels, " +
            std::to_string(count) + ", __start_kd_shared_unit, __stop_kd_shared_unit};\n";
  return unit;
}
