# What the suite links against. librdkafka is a pinned build of our own (shared/cmake/librdkafka.sh says
# from where and why); everything else is the distribution's.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(Python3 REQUIRED COMPONENTS Interpreter)

if(NOT INSIDEOUT_INSTALLED)
    execute_process(COMMAND ${CMAKE_CURRENT_LIST_DIR}/librdkafka.sh --prefix OUTPUT_VARIABLE LIBRDKAFKA_ROOT
                    OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
endif()
if(NOT EXISTS ${LIBRDKAFKA_ROOT}/include/librdkafka/rdkafka.h)
    message(FATAL_ERROR "no librdkafka in ${LIBRDKAFKA_ROOT}: run shared/cmake/librdkafka.sh (./demo does)")
endif()
add_library(io::rdkafka SHARED IMPORTED GLOBAL)
set_target_properties(io::rdkafka PROPERTIES
    IMPORTED_LOCATION ${LIBRDKAFKA_ROOT}/lib/librdkafka.so.1
    INTERFACE_INCLUDE_DIRECTORIES ${LIBRDKAFKA_ROOT}/include)

pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET GLOBAL jansson)
pkg_check_modules(MICROHTTPD REQUIRED IMPORTED_TARGET GLOBAL libmicrohttpd)
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET GLOBAL libcurl)
pkg_check_modules(OPENSSL REQUIRED IMPORTED_TARGET GLOBAL openssl)
pkg_check_modules(AVRO REQUIRED IMPORTED_TARGET GLOBAL avro-c)
find_library(ROCKSDB_LIBRARY rocksdb REQUIRED)
add_library(io::rocksdb SHARED IMPORTED GLOBAL)
set_target_properties(io::rocksdb PROPERTIES IMPORTED_LOCATION ${ROCKSDB_LIBRARY})
