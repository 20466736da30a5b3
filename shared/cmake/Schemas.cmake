# io_schemas(TARGET DIRECTORY dir): a static library of the structs, record types and topics that dir's *.avsc
# and topics.json declare; whoever links it includes "schemas/schemas.gen.h".
set(_io_codegen ${CMAKE_CURRENT_LIST_DIR}/../events/codegen.py)
if(NOT EXISTS ${_io_codegen})
    set(_io_codegen ${CMAKE_CURRENT_LIST_DIR}/codegen.py) # as installed
endif()
set(IO_CODEGEN ${_io_codegen} CACHE INTERNAL "makes C of Avro schemas")

function(io_schemas target)
    cmake_parse_arguments(ARG "" "DIRECTORY" "" ${ARGN})
    find_package(Python3 REQUIRED COMPONENTS Interpreter)
    set(include ${CMAKE_CURRENT_BINARY_DIR}/${target}.include)
    set(out ${include}/schemas)
    file(GLOB inputs CONFIGURE_DEPENDS ${ARG_DIRECTORY}/*.avsc)
    add_custom_command(
        OUTPUT ${out}/schemas.gen.h ${out}/schemas.gen.c
        COMMAND Python3::Interpreter ${IO_CODEGEN} ${ARG_DIRECTORY} ${out}
        DEPENDS ${inputs} ${ARG_DIRECTORY}/topics.json ${IO_CODEGEN}
        COMMENT "Schemas of ${ARG_DIRECTORY}"
        VERBATIM)
    add_library(${target} STATIC ${out}/schemas.gen.c ${out}/schemas.gen.h)
    target_include_directories(${target} PUBLIC ${include})
    # So that whoever includes the header is compiled after it is made.
    set_source_files_properties(${out}/schemas.gen.h PROPERTIES GENERATED TRUE)
    target_link_libraries(${target} PUBLIC $<IF:$<TARGET_EXISTS:io::events>,io::events,insideout::events>)
endfunction()
