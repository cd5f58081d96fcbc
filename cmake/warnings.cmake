# SPDX-License-Identifier: MIT
function(fastsoft_add_warnings target)
  target_compile_options(${target} INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wnon-virtual-dtor)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # False in GCC's own AVX-512 intrinsics, which Eigen uses (GCC bug 105593).
    target_compile_options(${target} INTERFACE -Wno-maybe-uninitialized)
  endif()
  if(FASTSOFT_WERROR)
    target_compile_options(${target} INTERFACE -Werror)
  endif()
endfunction()
