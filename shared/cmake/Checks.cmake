# Targets format, format-check and tidy, over the C that is under version control; and reference, what the public headers
# say, as pages. Versions 19 to 23 of clang-format agree; the test has the one of tests/format, which `./demo test` installs.
find_program(CLANG_FORMAT clang-format)
find_program(CLANG_TIDY clang-tidy)
find_program(RUN_CLANG_TIDY run-clang-tidy)

set(format_files "files=$(git ls-files -- '*.c' '*.h') && test -n \"$files\" &&")
function(format_target name)
    list(JOIN ARGN " " options)
    add_custom_target(${name} COMMAND sh -c "${format_files} ${CLANG_FORMAT} ${options} $files"
        WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} VERBATIM)
endfunction()

if(CLANG_FORMAT)
    execute_process(COMMAND ${CLANG_FORMAT} --version OUTPUT_VARIABLE format_version)
endif()
if(format_version MATCHES "version ([0-9]+)" AND CMAKE_MATCH_1 GREATER_EQUAL 19)
    format_target(format -i)
    format_target(format-check --dry-run --Werror)
endif()
if(BUILD_TESTING)
    set(tool "\"\${FORMAT_TOOLS:?./demo test unit installs it}/bin/clang-format\"")
    add_test(NAME format COMMAND sh -c "${format_files} ${tool} --dry-run --Werror $files"
        WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties(format PROPERTIES LABELS unit)
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
