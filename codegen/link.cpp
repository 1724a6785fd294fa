/* The linker in this process: lld has a C++ interface only. */
#include <lld/Common/CommonLinkerContext.h>
#include <lld/Common/Driver.h>
#include <llvm/Support/raw_ostream.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "link.h"

LLD_HAS_DRIVER(elf)

extern "C" char *link_elf(const char *const *args, size_t n) {
    std::string errors;
    llvm::raw_string_ostream stream(errors);
    bool good =
        lld::elf::link(llvm::ArrayRef<const char *>(args, n), llvm::nulls(), stream, false, false);
    lld::CommonLinkerContext::destroy();
    if (good) return nullptr;
    stream.flush();
    return strdup(errors.empty() ? "the linker failed" : errors.c_str());
}
