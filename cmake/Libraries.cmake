# Libraries from the system's packages, each with what it is for.
find_package(PkgConfig REQUIRED)
find_package(fmt REQUIRED)              # formatting
find_package(nlohmann_json REQUIRED)    # JSON
find_package(CLI11 REQUIRED)            # command line
find_package(OpenSSL REQUIRED)          # SHA-256 of what is fetched
find_package(ZLIB REQUIRED)             # *.csv.gz
find_package(Freetype REQUIRED)         # the dataset of rendered digits
find_package(JPEG REQUIRED)             # data sets of images
find_package(PNG REQUIRED)
find_package(SQLiteCpp REQUIRED)        # the results store
find_package(Threads REQUIRED)
find_package(pagmo REQUIRED)            # CMA-ES and NSGA-II
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET libxxhash)  # content hashes
pkg_check_modules(libzip REQUIRED IMPORTED_TARGET libzip)     # wheels are zip files
pkg_check_modules(yaml_cpp REQUIRED IMPORTED_TARGET yaml-cpp)  # merge configurations in mergekit's YAML
pkg_check_modules(pcre2 REQUIRED IMPORTED_TARGET libpcre2-8)  # regular expressions of tokenizers and adapters
pkg_check_modules(utf8proc REQUIRED IMPORTED_TARGET libutf8proc)  # Unicode: normal forms, categories, case
