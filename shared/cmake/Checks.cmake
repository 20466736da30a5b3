# Targets format, format-check and tidy, over all C of the project that is under version control.
find_program(CLANG_FORMAT clang-format)
find_program(CLANG_TIDY clang-tidy)
find_program(RUN_CLANG_TIDY NAMES run-clang-tidy)

set(_sources git -C ${PROJECT_SOURCE_DIR} ls-files -z -- *.c *.h)
if(CLANG_FORMAT)
    add_custom_target(format
        COMMAND ${_sources} | xargs -0 ${CLANG_FORMAT} -i
        WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} VERBATIM)
    add_custom_target(format-check
        COMMAND ${_sources} | xargs -0 ${CLANG_FORMAT} --dry-run --Werror
        WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} VERBATIM)
endif()
if(CLANG_TIDY AND RUN_CLANG_TIDY)
    # Over what is compiled here, generated code left out; .clang-tidy says what is checked.
    add_custom_target(tidy
        COMMAND ${RUN_CLANG_TIDY} -quiet -p ${PROJECT_BINARY_DIR} ^${PROJECT_SOURCE_DIR}/(shared|schemas|services|tests|bench)/.*\\.c$
        WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} VERBATIM)
endif()
