/** A libnvrtc that compiles with g++: the result, which it calls CUBIN (or PTX), is a shared object for the stand-in's libcuda. */

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <fstream>
#include <spawn.h>
#include <sstream>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "unit.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

extern char** environ;

namespace {

enum nvrtcResult {
  NVRTC_SUCCESS = 0,
  NVRTC_ERROR_OUT_OF_MEMORY = 1,
  NVRTC_ERROR_PROGRAM_CREATION_FAILURE = 2,
  NVRTC_ERROR_INVALID_INPUT = 3,
  NVRTC_ERROR_INVALID_PROGRAM = 4,
  NVRTC_ERROR_INVALID_OPTION = 5,
  NVRTC_ERROR_COMPILATION = 6,
  NVRTC_ERROR_BUILTIN_OPERATION_FAILURE = 7,
  NVRTC_ERROR_NO_NAME_EXPRESSIONS_AFTER_COMPILATION = 8,
  NVRTC_ERROR_NO_LOWERED_NAMES_BEFORE_COMPILATION = 9,
  NVRTC_ERROR_NAME_EXPRESSION_NOT_VALID = 10,
  NVRTC_ERROR_INTERNAL_ERROR = 11,
};

constexpr unsigned MOST_STATIC_SHARED = 48 << 10;

struct Program {
  std::string source, name, log, image;
  std::vector<std::string> expressions, lowered;
  bool compiled = false, virtualOnly = false;
};

/** The folder that this library lies in, with compile.txt: the compiler and its arguments, one a line. */
std::string libraryFolder() {
  Dl_info info{};
  dladdr(reinterpret_cast<void*>(&libraryFolder), &info);
  const std::string path = info.dli_fname;
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

std::string readFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

struct Options {
  std::vector<std::string> defines;
  int arch = 52;
  bool virtualOnly = false;
  std::string error;
};

/** Takes what NVRTC takes; what changes nothing here is left out. */
Options parseOptions(int count, const char* const* options) {
  static const char* const ignored =
      " -std --std -default-device --device-as-default-execution-space -use_fast_math --use_fast_math -fmad --fmad"
      " -ftz --ftz -prec-div --prec-div -prec-sqrt --prec-sqrt -lineinfo --generate-line-info -G --device-debug -w"
      " --disable-warnings -restrict --restrict -extra-device-vectorization --extra-device-vectorization -maxrregcount"
      " --maxrregcount -dopt --dopt -minimal --minimal -rdc --relocatable-device-code -diag-suppress --diag-suppress"
      " -Xptxas --ptxas-options -builtin-move-forward --builtin-move-forward -split-compile --split-compile -pch --pch"
      " -time --time ";
  Options result;
  for (int i = 0; i < count; i++) {
    const std::string option = options[i];
    const size_t equals = option.find('=');
    const std::string key = option.substr(0, equals), value = equals == std::string::npos ? "" : option.substr(equals + 1);
    if (key == "-arch" || key == "--gpu-architecture") {
      const bool real = value.rfind("sm_", 0) == 0;
      if (!real && value.rfind("compute_", 0) != 0) result.error = "invalid value for --gpu-architecture (" + value + ")";
      result.virtualOnly = !real;
      result.arch = atoi(value.c_str() + (real ? 3 : 8));
      if (result.arch < 50 || result.arch > 130) result.error = "invalid value for --gpu-architecture (" + value + ")";
    } else if (key == "-D" || key == "--define-macro") {
      if (equals == std::string::npos && i + 1 < count) result.defines.push_back(std::string("-D") + options[++i]);
      else result.defines.push_back("-D" + value);
    } else if (option.rfind("-D", 0) == 0) {
      result.defines.push_back(option);
    } else {
      if (strstr(ignored, (" " + key + " ").c_str()) == nullptr) result.error = "unrecognized option " + option;
    }
  }
  result.defines.push_back("-D__CUDA_ARCH__=" + std::to_string(result.arch * 10));
  return result;
}

/** Runs a program with its output in a file; its exit status, or -1. */
int runProgram(const std::vector<std::string>& words, const std::string& output) {
  std::vector<char*> args;
  for (const std::string& word : words) args.push_back(const_cast<char*>(word.c_str()));
  args.push_back(nullptr);
  // Messages in plain English, whatever the user speaks.
  std::vector<char*> variables;
  for (char** variable = environ; *variable != nullptr; variable++) {
    if (strncmp(*variable, "LC_ALL=", 7) != 0) variables.push_back(*variable);
  }
  variables.push_back(const_cast<char*>("LC_ALL=C"));
  variables.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  pid_t child = 0;
  const int failed = posix_spawnp(&child, args[0], &actions, nullptr, args.data(), variables.data());
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) {
    std::ofstream(output) << args[0] << ": " << strerror(failed) << "\n";
    return -1;
  }
  int status = 0;
  // Somebody may have asked the system to forget children; then there is no status, and the output tells.
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return 0;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/** Kernels that declare more shared memory than there is: ptxas refuses them. */
std::string checkShared(const std::string& image, const std::vector<UnitKernel>& kernels) {
  std::string errors;
  const auto* header = reinterpret_cast<const Elf64_Ehdr*>(image.data());
  if (image.size() < sizeof *header || header->e_shoff + header->e_shnum * sizeof(Elf64_Shdr) > image.size())
    return "error: no ELF file came out\n";
  const auto* sections = reinterpret_cast<const Elf64_Shdr*>(image.data() + header->e_shoff);
  const char* names = image.data() + sections[header->e_shstrndx].sh_offset;
  for (unsigned i = 0; i < header->e_shnum; i++) {
    const char* name = names + sections[i].sh_name;
    if (strncmp(name, "kd_shared_", 10) != 0 || sections[i].sh_size <= MOST_STATIC_SHARED || !isdigit(name[10])) continue;
    char text[512];
    snprintf(text, sizeof text, "ptxas error   : Entry function '%s' uses too much shared data (0x%llx bytes, 0x%x max)\n",
             kernels[static_cast<size_t>(atoi(name + 10))].name.c_str(), static_cast<unsigned long long>(sections[i].sh_size),
             MOST_STATIC_SHARED);
    errors += text;
  }
  return errors;
}

nvrtcResult compile(Program& program, const Options& options) {
  const Unit unit = makeUnit(program.source, program.name, program.expressions);
  if (!unit.error.empty()) {
    program.log = unit.error + "1 error detected in the compilation of \"" + program.name + "\".\n";
    return NVRTC_ERROR_COMPILATION;
  }
  const char* temporary = getenv("TMPDIR");
  std::string folder = std::string(temporary != nullptr && *temporary != 0 ? temporary : "/tmp") + "/kindling-nvrtc-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) {
    program.log = "no temporary folder " + folder + ": " + strerror(errno) + "\n";
    return NVRTC_ERROR_INTERNAL_ERROR;
  }
  const std::string source = folder + "/unit.cpp", image = folder + "/unit.so", log = folder + "/log";
  std::ofstream(source, std::ios::binary) << unit.source;
  std::vector<std::string> words;
  std::istringstream lines(readFile(libraryFolder() + "/compile.txt"));
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty()) words.push_back(line);
  }
  words.insert(words.end(), options.defines.begin(), options.defines.end());
  words.insert(words.end(), {source, "-o", image, libraryFolder() + "/libcuda.so.1"});
  const int status = runProgram(words, log);
  program.log = readFile(log);
  if (status == 0) program.image = readFile(image);
  for (const std::string& path : {source, image, log}) unlink(path.c_str());
  rmdir(folder.c_str());
  if (status != 0 || program.image.empty()) return NVRTC_ERROR_COMPILATION;
  const std::string errors = checkShared(program.image, unit.kernels);
  if (!errors.empty()) {
    program.log += errors;
    program.image.clear();
    return NVRTC_ERROR_COMPILATION;
  }
  return NVRTC_SUCCESS;
}

nvrtcResult give(const std::string& text, char* to) {
  if (to == nullptr) return NVRTC_ERROR_INVALID_INPUT;
  memcpy(to, text.data(), text.size());
  return NVRTC_SUCCESS;
}

}  // namespace

using nvrtcProgram = Program*;

EXPORT nvrtcResult nvrtcVersion(int* major, int* minor) {
  if (major == nullptr || minor == nullptr) return NVRTC_ERROR_INVALID_INPUT;
  const char* text = getenv("KINDLING_STAND_IN_NVRTC_VERSION");
  *major = 12;
  *minor = 8;
  if (text != nullptr) sscanf(text, "%d.%d", major, minor);
  return NVRTC_SUCCESS;
}
EXPORT nvrtcResult nvrtcGetNumSupportedArchs(int* count) {
  *count = 6;
  return NVRTC_SUCCESS;
}
EXPORT nvrtcResult nvrtcGetSupportedArchs(int* archs) {
  const int known[] = {50, 75, 80, 86, 89, 90};
  memcpy(archs, known, sizeof known);
  return NVRTC_SUCCESS;
}
EXPORT const char* nvrtcGetErrorString(nvrtcResult result) {
  switch (result) {
    case NVRTC_SUCCESS: return "NVRTC_SUCCESS";
    case NVRTC_ERROR_OUT_OF_MEMORY: return "NVRTC_ERROR_OUT_OF_MEMORY";
    case NVRTC_ERROR_PROGRAM_CREATION_FAILURE: return "NVRTC_ERROR_PROGRAM_CREATION_FAILURE";
    case NVRTC_ERROR_INVALID_INPUT: return "NVRTC_ERROR_INVALID_INPUT";
    case NVRTC_ERROR_INVALID_PROGRAM: return "NVRTC_ERROR_INVALID_PROGRAM";
    case NVRTC_ERROR_INVALID_OPTION: return "NVRTC_ERROR_INVALID_OPTION";
    case NVRTC_ERROR_COMPILATION: return "NVRTC_ERROR_COMPILATION";
    case NVRTC_ERROR_BUILTIN_OPERATION_FAILURE: return "NVRTC_ERROR_BUILTIN_OPERATION_FAILURE";
    case NVRTC_ERROR_NO_NAME_EXPRESSIONS_AFTER_COMPILATION: return "NVRTC_ERROR_NO_NAME_EXPRESSIONS_AFTER_COMPILATION";
    case NVRTC_ERROR_NO_LOWERED_NAMES_BEFORE_COMPILATION: return "NVRTC_ERROR_NO_LOWERED_NAMES_BEFORE_COMPILATION";
    case NVRTC_ERROR_NAME_EXPRESSION_NOT_VALID: return "NVRTC_ERROR_NAME_EXPRESSION_NOT_VALID";
    case NVRTC_ERROR_INTERNAL_ERROR: return "NVRTC_ERROR_INTERNAL_ERROR";
  }
  return "NVRTC_ERROR unknown";
}
EXPORT nvrtcResult nvrtcCreateProgram(nvrtcProgram* program, const char* source, const char* name, int headerCount,
                                      const char* const* headers, const char* const* headerNames) {
  if (program == nullptr || source == nullptr || headerCount < 0) return NVRTC_ERROR_INVALID_INPUT;
  if (headerCount > 0 && (headers == nullptr || headerNames == nullptr)) return NVRTC_ERROR_INVALID_INPUT;
  *program = new Program;
  (*program)->source = source;
  (*program)->name = name != nullptr && *name != 0 ? name : "default_program";
  return NVRTC_SUCCESS;
}
EXPORT nvrtcResult nvrtcDestroyProgram(nvrtcProgram* program) {
  if (program == nullptr || *program == nullptr) return NVRTC_ERROR_INVALID_PROGRAM;
  delete *program;
  *program = nullptr;
  return NVRTC_SUCCESS;
}
EXPORT nvrtcResult nvrtcAddNameExpression(nvrtcProgram program, const char* expression) {
  if (program == nullptr || expression == nullptr) return NVRTC_ERROR_INVALID_INPUT;
  if (program->compiled) return NVRTC_ERROR_NO_NAME_EXPRESSIONS_AFTER_COMPILATION;
  program->lowered.push_back("kd_expression_" + std::to_string(program->expressions.size()));
  program->expressions.push_back(expression);
  return NVRTC_SUCCESS;
}
EXPORT nvrtcResult nvrtcGetLoweredName(nvrtcProgram program, const char* expression, const char** name) {
  if (program == nullptr || expression == nullptr || name == nullptr) return NVRTC_ERROR_INVALID_INPUT;
  if (!program->compiled) return NVRTC_ERROR_NO_LOWERED_NAMES_BEFORE_COMPILATION;
  for (size_t i = 0; i < program->expressions.size(); i++) {
    if (program->expressions[i] != expression) continue;
    *name = program->lowered[i].c_str();
    return NVRTC_SUCCESS;
  }
  return NVRTC_ERROR_NAME_EXPRESSION_NOT_VALID;
}
EXPORT nvrtcResult nvrtcCompileProgram(nvrtcProgram program, int count, const char* const* options) {
  if (program == nullptr) return NVRTC_ERROR_INVALID_PROGRAM;
  const Options parsed = parseOptions(count, options);
  program->compiled = true;
  program->image.clear();
  if (!parsed.error.empty()) {
    program->log = "nvrtc: error: " + parsed.error + "\n";
    return NVRTC_ERROR_INVALID_OPTION;
  }
  program->virtualOnly = parsed.virtualOnly;
  return compile(*program, parsed);
}
EXPORT nvrtcResult nvrtcGetProgramLogSize(nvrtcProgram program, size_t* size) {
  if (program == nullptr || size == nullptr) return NVRTC_ERROR_INVALID_PROGRAM;
  *size = program->log.size() + 1;
  return NVRTC_SUCCESS;
}
EXPORT nvrtcResult nvrtcGetProgramLog(nvrtcProgram program, char* log) {
  if (program == nullptr || log == nullptr) return NVRTC_ERROR_INVALID_PROGRAM;
  memcpy(log, program->log.c_str(), program->log.size() + 1);
  return NVRTC_SUCCESS;
}
/** As NVRTC does it, there is a CUBIN only of a real architecture. */
EXPORT nvrtcResult nvrtcGetCUBINSize(nvrtcProgram program, size_t* size) {
  if (program == nullptr || size == nullptr) return NVRTC_ERROR_INVALID_PROGRAM;
  *size = program->virtualOnly ? 0 : program->image.size();
  return NVRTC_SUCCESS;
}
EXPORT nvrtcResult nvrtcGetCUBIN(nvrtcProgram program, char* cubin) {
  if (program == nullptr) return NVRTC_ERROR_INVALID_PROGRAM;
  return program->virtualOnly ? NVRTC_SUCCESS : give(program->image, cubin);
}
EXPORT nvrtcResult nvrtcGetPTXSize(nvrtcProgram program, size_t* size) {
  if (program == nullptr || size == nullptr) return NVRTC_ERROR_INVALID_PROGRAM;
  *size = program->image.size();
  return NVRTC_SUCCESS;
}
EXPORT nvrtcResult nvrtcGetPTX(nvrtcProgram program, char* ptx) {
  return program == nullptr ? NVRTC_ERROR_INVALID_PROGRAM : give(program->image, ptx);
}
