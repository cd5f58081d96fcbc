// SPDX-License-Identifier: MIT
#include "fastsoft/core/cpu_limits.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <sstream>

namespace fastsoft {
namespace {

int threads_from_quota(double quota, double period) {
    if (!(quota > 0.0 && period > 0.0)) {
        return 0;
    }
    const double processors = std::min(std::ceil(quota / period), double{std::numeric_limits<int>::max()});
    return std::max(1, static_cast<int>(processors));
}

// Version 2: one file, "max 100000" or "150000 100000".
int limit_version2(const std::string& folder) {
    std::ifstream file(folder + "/cpu.max");
    std::string quota;
    double period = 0.0;
    if (!(file >> quota >> period) || quota == "max") {
        return 0;
    }
    return threads_from_quota(std::strtod(quota.c_str(), nullptr), period);
}

// Version 1: two files; a quota of -1 means none.
int limit_version1(const std::string& folder) {
    std::ifstream quota_file(folder + "/cpu.cfs_quota_us");
    std::ifstream period_file(folder + "/cpu.cfs_period_us");
    double quota = 0.0;
    double period = 0.0;
    return (quota_file >> quota && period_file >> period) ? threads_from_quota(quota, period) : 0;
}

bool lists_cpu(const std::string& controllers) {
    std::istringstream names(controllers);
    for (std::string name; std::getline(names, name, ',');) {
        if (name == "cpu") {
            return true;
        }
    }
    return false;
}

}  // namespace

int cgroup_cpu_limit(const std::string& root) {
    int limit = 0;
    std::ifstream groups(root + "/proc/self/cgroup");
    // Lines are "hierarchy:controllers:path"; version 2 is the one without controllers.
    for (std::string line; std::getline(groups, line);) {
        const auto first = line.find(':');
        const auto second = first == std::string::npos ? first : line.find(':', first + 1);
        if (second == std::string::npos) {
            continue;
        }
        const std::string controllers = line.substr(first + 1, second - first - 1);
        const bool version2 = controllers.empty();
        if (!version2 && !lists_cpu(controllers)) {
            continue;
        }
        // Up to the root: parents limit their children. In a container without its own namespace the path is the
        // host's and only the root, which is the container's own group, can be read.
        std::string path = line.substr(second + 1);
        while (true) {
            const std::string folder = path == "/" ? std::string() : path;
            const int found = version2 ? limit_version2(root + "/sys/fs/cgroup" + folder)
                                       : limit_version1(root + "/sys/fs/cgroup/cpu" + folder);
            if (found > 0 && (limit == 0 || found < limit)) {
                limit = found;
            }
            const auto slash = path.find_last_of('/');
            if (folder.empty() || slash == std::string::npos) {
                break;
            }
            path.erase(slash);
        }
    }
    return limit;
}

int threads_from_environment(const char* name, int max_threads) {
    const char* text = std::getenv(name);
    if (text == nullptr) {
        return 0;
    }
    char* end = nullptr;
    const long value = std::strtol(text, &end, 10);
    return (end != text && value >= 1 && value <= max_threads) ? static_cast<int>(value) : 0;
}

}  // namespace fastsoft
