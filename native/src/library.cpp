#include "library.h"

#include <dirent.h>
#include <dlfcn.h>
#include <glob.h>
#include <link.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

namespace kindling {
namespace {

// Never destroyed: other threads may still run when static objects are.
struct Opened {
  std::mutex mutex;
  std::map<std::string, std::shared_ptr<const Library>> libraries;
};
Opened& opened_libraries() {
  static Opened* const opened = new Opened;
  return *opened;
}

bool is_directory(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

bool exists(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0;
}

std::vector<std::string> matches(const std::string& pattern) {
  std::vector<std::string> paths;
  glob_t result;
  if (glob(pattern.c_str(), 0, nullptr, &result) == 0) paths.assign(result.gl_pathv, result.gl_pathv + result.gl_pathc);
  globfree(&result);
  return paths;
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

// dlerror without the name that it repeats.
std::string reason(const std::string& what) {
  const char* text = dlerror();
  std::string why = text ? text : "unknown error";
  if (why.compare(0, what.size() + 2, what + ": ") == 0) why.erase(0, what.size() + 2);
  if (why.find("No such file or directory") != std::string::npos && why.find("cannot open shared object file") == 0) return "not found";
  return why;
}

// Where pip puts packages: of the active environment, of the user, of the system.
std::vector<std::string> site_packages() {
  std::vector<std::string> patterns;
  for (const char* name : {"VIRTUAL_ENV", "CONDA_PREFIX"}) {
    const std::string prefix = environment(name);
    if (!prefix.empty()) patterns.push_back(prefix + "/lib/python3*/site-packages");
  }
  const std::string home = environment("HOME");
  if (!home.empty()) patterns.push_back(home + "/.local/lib/python3*/site-packages");
  for (const char* pattern : {"/usr/local/lib/python3*/site-packages", "/usr/local/lib/python3*/dist-packages",
                              "/usr/lib/python3*/site-packages", "/usr/lib/python3*/dist-packages"}) {
    patterns.push_back(pattern);
  }
  std::vector<std::string> found;
  for (const std::string& pattern : patterns) {
    for (std::string& path : matches(pattern)) found.push_back(std::move(path));
  }
  return found;
}

}  // namespace

std::shared_ptr<const Library> Library::open(const LibraryNames& names, const SearchPath& path) {
  const std::string key = joined(names.sonames, "|") + "\n" + joined(path.directories, "|") + (path.only ? "\nonly" : "");
  Opened& opened = opened_libraries();
  std::lock_guard<std::mutex> lock(opened.mutex);
  std::shared_ptr<const Library>& entry = opened.libraries[key];
  if (!entry) entry.reset(new Library(names, path));
  return entry;
}

Library::Library(const LibraryNames& names, const SearchPath& path) : names_(names) {
  for (const std::string& directory : path.directories) {
    if (look_in(directory)) return;
  }
  if (path.only) return;
  for (const std::string& soname : names_.sonames) {
    if (attempt(soname, false)) return;
  }
  for (const std::string& directory : names_.directories) {
    if (look_in(directory)) return;
  }
  if (!names_.toolkit) return;
  for (const std::string& root : {environment("CUDA_HOME"), environment("CUDA_PATH"), std::string("/usr/local/cuda")}) {
    if (!root.empty() && look_in(root + "/lib64")) return;
  }
  look_in_pip();
}

bool Library::look_in(const std::string& directory) {
  if (!is_directory(directory)) {
    searched_.push_back(directory + ": no such folder");
    return false;
  }
  for (const std::string& soname : names_.sonames) {
    const std::string path = directory + "/" + soname;
    if (!exists(path)) {
      searched_.push_back(path + ": not found");
      continue;
    }
    open_beside(directory);
    if (attempt(path, true)) return true;
  }
  return false;
}

void Library::look_in_pip() {
  const std::vector<std::string> sites = site_packages();
  if (sites.empty()) searched_.push_back("nvidia/*/lib of Python packages: no site-packages of Python 3 found");
  for (const std::string& site : sites) {
    bool any = false;
    for (const std::string& directory : matches(site + "/nvidia/*/lib")) {
      for (const std::string& soname : names_.sonames) {
        const std::string path = directory + "/" + soname;
        if (!exists(path)) continue;
        any = true;
        open_beside(directory);
        if (attempt(path, true)) return;
      }
    }
    if (!any) searched_.push_back(site + "/nvidia/*/lib: no " + joined(names_.sonames, ", "));
  }
}

bool Library::attempt(const std::string& what, bool by_path) {
  handle_ = dlopen(what.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle_) {
    searched_.push_back(what + ": " + reason(what));
    return false;
  }
  searched_.push_back(what);
  opened_ = what;
  link_map* map = nullptr;
  if (!by_path && !names_.beside.empty() && dlinfo(handle_, RTLD_DI_LINKMAP, &map) == 0 && map && std::strchr(map->l_name, '/')) {
    const std::string file = map->l_name;
    open_beside(file.substr(0, file.rfind('/')));
  }
  return true;
}

// The library opens these itself, by name, when it needs them, and has no path to find them by. What is open already is found.
void Library::open_beside(const std::string& directory) const {
  if (names_.beside.empty()) return;
  std::vector<std::string> files;
  if (DIR* listing = opendir(directory.c_str())) {
    while (const dirent* entry = readdir(listing)) files.push_back(entry->d_name);
    closedir(listing);
  }
  std::sort(files.begin(), files.end());
  for (const std::string& prefix : names_.beside) {
    for (const std::string& file : files) {
      if (file.compare(0, prefix.size(), prefix) == 0) dlopen((directory + "/" + file).c_str(), RTLD_NOW | RTLD_GLOBAL);
    }
  }
}

void* Library::address(const char* name) const { return handle_ ? dlsym(handle_, name) : nullptr; }

Failure Library::missing(Code code) const {
  std::string message = format("%s was not found. To use it, %s. Looked for:", names_.name, names_.install.c_str());
  for (const std::string& line : searched_) message += "\n  " + line;
  return Failure{code, message, {}, {}, searched_};
}

LibraryProbe probe_of(const Library& library) {
  LibraryProbe probe{library.opened(), "", library.searched(), ""};
  if (!library.found()) probe.error = format("%s was not found; %s", library.names().name, library.names().install.c_str());
  return probe;
}

}  // namespace kindling
