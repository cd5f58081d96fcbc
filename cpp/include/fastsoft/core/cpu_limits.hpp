// SPDX-License-Identifier: MIT
#pragma once

#include <string>

namespace fastsoft {

// Processors that the CPU quota of this process's cgroup and of its parents grants, rounded up: with one thread for a
// quota of 1.5 a third of the grant would stay unused. The tightest quota counts; 0 means that there is none. Reads
// version 2 (cpu.max) and version 1 (cpu.cfs_quota_us). `root` stands before /proc and /sys, for tests.
int cgroup_cpu_limit(const std::string& root = "");

// First number of an environment variable such as "4" or OpenMP's "4,2"; 0 if it is unset, no number or out of range.
int threads_from_environment(const char* name, int max_threads);

}  // namespace fastsoft
