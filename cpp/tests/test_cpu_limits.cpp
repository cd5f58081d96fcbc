// SPDX-License-Identifier: MIT
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "check.hpp"
#include "fastsoft/core/cpu_limits.hpp"

namespace {

namespace fs = std::filesystem;

// A folder that plays the root of the file system; removed at the end.
class FakeRoot {
public:
    FakeRoot() : path_(fs::temp_directory_path() / ("fastsoft-root-" + std::to_string(getpid()))) {
        fs::remove_all(path_);
    }
    ~FakeRoot() { fs::remove_all(path_); }
    FakeRoot(const FakeRoot&) = delete;
    FakeRoot& operator=(const FakeRoot&) = delete;

    FakeRoot& write(const std::string& name, const std::string& text) {
        const fs::path file = path_ / name;
        fs::create_directories(file.parent_path());
        std::ofstream(file) << text;
        return *this;
    }

    int limit() const { return fastsoft::cgroup_cpu_limit(path_.string()); }

private:
    fs::path path_;
};

TEST(no_cgroup_files_mean_no_limit) {
    CHECK_EQUAL(FakeRoot().limit(), 0);
}

TEST(cgroup_version2_quota_is_rounded_up) {
    FakeRoot root;
    root.write("proc/self/cgroup", "0::/app\n").write("sys/fs/cgroup/app/cpu.max", "150000 100000\n");
    CHECK_EQUAL(root.limit(), 2);
    root.write("sys/fs/cgroup/app/cpu.max", "200000 100000\n");
    CHECK_EQUAL(root.limit(), 2);
    root.write("sys/fs/cgroup/app/cpu.max", "1000 100000\n");
    CHECK_EQUAL(root.limit(), 1);
    root.write("sys/fs/cgroup/app/cpu.max", "max 100000\n");
    CHECK_EQUAL(root.limit(), 0);
}

TEST(cgroup_version2_parents_limit_their_children) {
    FakeRoot root;
    root.write("proc/self/cgroup", "0::/a/b/c\n")
        .write("sys/fs/cgroup/a/b/c/cpu.max", "800000 100000\n")
        .write("sys/fs/cgroup/a/b/cpu.max", "max 100000\n")
        .write("sys/fs/cgroup/a/cpu.max", "300000 100000\n");
    CHECK_EQUAL(root.limit(), 3);
}

// The path is the host's and does not exist inside; the group of the container is the root there.
TEST(cgroup_of_a_container_without_namespace_is_the_root) {
    FakeRoot root;
    root.write("proc/self/cgroup", "0::/docker/0123\n").write("sys/fs/cgroup/cpu.max", "400000 100000\n");
    CHECK_EQUAL(root.limit(), 4);
}

TEST(cgroup_version1_reads_the_cpu_controller_only) {
    FakeRoot root;
    root.write("proc/self/cgroup", "5:cpuset:/set\n4:cpu,cpuacct:/job\n")
        .write("sys/fs/cgroup/cpu/set/cpu.cfs_quota_us", "100000\n")
        .write("sys/fs/cgroup/cpu/set/cpu.cfs_period_us", "100000\n")
        .write("sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "450000\n")
        .write("sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n");
    CHECK_EQUAL(root.limit(), 5);
    root.write("sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "-1\n");
    CHECK_EQUAL(root.limit(), 0);
}

TEST(malformed_cgroup_files_are_ignored) {
    FakeRoot root;
    root.write("proc/self/cgroup", "nonsense\n0::\n0:/\n").write("sys/fs/cgroup/cpu.max", "many few\n");
    CHECK_EQUAL(root.limit(), 0);
    root.write("sys/fs/cgroup/cpu.max", "-5 100000\n");
    CHECK_EQUAL(root.limit(), 0);
}

TEST(environment_gives_its_first_number) {
    const char* const name = "FASTSOFT_TEST_THREADS";
    const auto threads = [&](const char* text) {
        setenv(name, text, 1);
        return fastsoft::threads_from_environment(name, 64);
    };
    CHECK_EQUAL(threads("4"), 4);
    CHECK_EQUAL(threads("4,2"), 4);
    CHECK_EQUAL(threads("0"), 0);
    CHECK_EQUAL(threads("-1"), 0);
    CHECK_EQUAL(threads("65"), 0);
    CHECK_EQUAL(threads("all"), 0);
    CHECK_EQUAL(threads(""), 0);
    unsetenv(name);
    CHECK_EQUAL(fastsoft::threads_from_environment(name, 64), 0);
}

}  // namespace
