/** What libnvrtc makes of a text before g++ sees it. */
#pragma once

#include <string>
#include <vector>

struct UnitKernel {
  std::string name;
  std::string maxThreads = "0";
  bool shared = false;
};

struct Unit {
  /** The text with __shared__ replaced, and the table of kernels. */
  std::string source;
  std::vector<UnitKernel> kernels;
  /** Not empty: NVRTC would refuse the text. */
  std::string error;
};

/** @param expressions Names that were asked for with nvrtcAddNameExpression; they are lowered to kd_expression_0 and so on. */
Unit makeUnit(const std::string& text, const std::string& name, const std::vector<std::string>& expressions);
