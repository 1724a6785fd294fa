# Writes OUT, a C file that holds the texts TEXTS (a list of paths, in this order) as builtin_texts.
# cmake -DOUT=... -DTEXTS=a.rwkv,b.rwkv -P embed.cmake
string(REPLACE "," ";" paths "${TEXTS}")
set(arrays "")
set(rows "")
set(k 0)
foreach(path IN LISTS paths)
    get_filename_component(name "${path}" NAME_WE)
    file(READ "${path}" hex HEX)
    string(LENGTH "${hex}" digits)
    math(EXPR n "${digits} / 2")
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
    string(APPEND arrays "static const unsigned char text_${k}[] = {${bytes}0};\n")
    string(APPEND rows "    {\"${name}\", (const char *)text_${k}, ${n}},\n")
    math(EXPR k "${k} + 1")
endforeach()
file(WRITE "${OUT}.new" "/* Made from models/ by scripts/embed.cmake. */
#include \"dsl/check.h\"

${arrays}
const BuiltinText builtin_texts[] = {
${rows}    {0},
};
")
file(COPY_FILE "${OUT}.new" "${OUT}" ONLY_IF_DIFFERENT)
file(REMOVE "${OUT}.new")
