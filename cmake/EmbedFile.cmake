# cmake -DNAME=... -DFILE=... -DSOURCE=... -P EmbedFile.cmake: writes a source with the file's bytes.
file(READ "${FILE}" hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "(0x[0-9a-f][0-9a-f],0x[0-9a-f][0-9a-f],0x[0-9a-f][0-9a-f],0x[0-9a-f][0-9a-f],)" "\\1\n" bytes "${bytes}")
file(WRITE "${SOURCE}" "#include <cstddef>
namespace assay::embedded {
extern const unsigned char ${NAME}[];
extern const std::size_t ${NAME}_size;
const unsigned char ${NAME}[] = {${bytes}0};
const std::size_t ${NAME}_size = sizeof ${NAME} - 1;
}  // namespace assay::embedded
")
