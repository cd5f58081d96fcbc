# SPDX-License-Identifier: MIT
function(fastsoft_add_warnings target)
  target_compile_options(${target} INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wnon-virtual-dtor)
  if(FASTSOFT_WERROR)
    target_compile_options(${target} INTERFACE -Werror)
  endif()
endfunction()
