# Targets format, format-check and tidy, over the C that is under version control; and reference, what the public headers
# say, as pages.
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

get_property(headers GLOBAL PROPERTY INSIDEOUT_HEADERS)
list(JOIN headers " " headers)
configure_file(${PROJECT_SOURCE_DIR}/docs/reference/Doxyfile.in ${PROJECT_BINARY_DIR}/Doxyfile @ONLY)
set(reference ${PROJECT_SOURCE_DIR}/docs/reference/make ${PROJECT_BINARY_DIR}/Doxyfile)
add_custom_target(reference COMMAND ${reference} VERBATIM)
if(BUILD_TESTING)
    add_test(NAME reference COMMAND ${reference})
    set_tests_properties(reference PROPERTIES LABELS unit TIMEOUT 300)
endif()
