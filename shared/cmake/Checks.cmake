# Targets format, format-check and tidy, over the C that is under version control.
find_program(CLANG_FORMAT clang-format)
find_program(CLANG_TIDY clang-tidy)
find_program(RUN_CLANG_TIDY run-clang-tidy)

function(format_target name)
    list(JOIN ARGN " " options)
    add_custom_target(${name}
        COMMAND sh -c "git ls-files -z -- '*.c' '*.h' | xargs -0 ${CLANG_FORMAT} ${options}"
        WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} VERBATIM)
endfunction()

if(CLANG_FORMAT)
    format_target(format -i)
    format_target(format-check --dry-run --Werror)
endif()
if(CLANG_TIDY AND RUN_CLANG_TIDY)
    # Over what is compiled here, generated code left out; .clang-tidy says what is checked.
    add_custom_target(tidy
        COMMAND ${RUN_CLANG_TIDY} -quiet -p ${PROJECT_BINARY_DIR}
                "^${PROJECT_SOURCE_DIR}/(shared|schemas|services|tests|bench)/.*\\.c$"
        WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} VERBATIM)
endif()
