# io_library(NAME SOURCES … HEADERS … USES … PRIVATE …): one room of shared/, a static library insideout_NAME.
#   USES are the layers below that its headers may mention; PRIVATE are third parties, never in a header.
#   HEADERS are what other projects get (cmake --install); the rest are the layer's own affair.
# A wrong include does not compile: each layer sees only the include directories of what it USES.
function(io_library name)
    cmake_parse_arguments(ARG "" "" "SOURCES;HEADERS;USES;PRIVATE" ${ARGN})
    add_library(insideout_${name} STATIC ${ARG_SOURCES})
    add_library(io::${name} ALIAS insideout_${name})
    add_library(insideout::${name} ALIAS insideout_${name}) # as installed
    # Headers live in shared/NAME and are included as "NAME/header.h"; a farm of one link a layer
    # keeps the others out of sight.
    set(farm ${PROJECT_BINARY_DIR}/include/${name})
    file(MAKE_DIRECTORY ${farm})
    file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR} ${farm}/${name} SYMBOLIC)
    target_include_directories(insideout_${name} PUBLIC
        $<BUILD_INTERFACE:${farm}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/insideout>)
    list(TRANSFORM ARG_USES PREPEND insideout_)
    target_link_libraries(insideout_${name} PUBLIC ${ARG_USES} PRIVATE ${ARG_PRIVATE})
    list(TRANSFORM ARG_HEADERS PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/ OUTPUT_VARIABLE headers)
    set_property(GLOBAL APPEND PROPERTY INSIDEOUT_HEADERS ${headers}) # for the reference
    set_property(GLOBAL APPEND PROPERTY INSIDEOUT_LIBRARIES $<TARGET_FILE:insideout_${name}>) # for rooms_test
    if(PROJECT_IS_TOP_LEVEL)
        set_target_properties(insideout_${name} PROPERTIES EXPORT_NAME ${name}) # insideout::NAME
        install(TARGETS insideout_${name} EXPORT insideout ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
        install(FILES ${ARG_HEADERS} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/insideout/${name} COMPONENT development)
    endif()
endfunction()

if(BUILD_TESTING)
    pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET GLOBAL cmocka)
endif()

# io_test(NAME LABEL SOURCES … LINK …): a cmocka program, run by ctest under LABEL.
function(io_test name label)
    cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
    if(NOT BUILD_TESTING)
        return()
    endif()
    add_executable(${name} ${ARG_SOURCES})
    target_link_libraries(${name} PRIVATE ${ARG_LINK} PkgConfig::CMOCKA)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES LABELS ${label} TIMEOUT 300)
endfunction()

# The services' malloc (service.c sets it up): with glibc's a flood takes them a tenth more time. A sanitizer brings its
# own.
add_library(io::malloc INTERFACE IMPORTED GLOBAL)
if(NOT CMAKE_C_FLAGS MATCHES "-fsanitize")
    pkg_check_modules(JEMALLOC REQUIRED jemalloc)
    # first, and though nothing asks for it by name
    target_link_options(io::malloc INTERFACE -Wl,--no-as-needed ${JEMALLOC_LINK_LIBRARIES} -Wl,--as-needed)
endif()

# io_service(NAME SOURCES …): a service of this directory. Its topology, rules and routes are a library,
# service_NAME, so that tests drive them; with main.c it is the program NAME.
function(io_service name)
    cmake_parse_arguments(ARG "" "" "SOURCES" ${ARGN})
    add_library(service_${name} STATIC ${ARG_SOURCES})
    target_link_libraries(service_${name} PUBLIC io::service io::schemas)
    add_executable(${name} main.c)
    target_link_libraries(${name} PRIVATE io::malloc service_${name})
    io_install_program(${name})
endfunction()

# io_install_program(NAME): a program of the suite, installed where no user's path leads: their names are everyday words.
function(io_install_program name)
    file(RELATIVE_PATH librdkafka /${CMAKE_INSTALL_LIBEXECDIR}/insideout /${CMAKE_INSTALL_LIBDIR}/insideout/librdkafka/lib)
    set_target_properties(${name} PROPERTIES INSTALL_RPATH "$ORIGIN/${librdkafka}")
    install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/insideout COMPONENT services)
endfunction()
