# cmake --install: shared/ as a library for other projects; io_library() has put the layers into the export. Nothing that is
# installed knows where that was: the tree can be moved.
include(CMakePackageConfigHelpers)

set(insideout_runtime libinsideout) # component: its Debian package
set(insideout_development libinsideout-dev)
set(insideout_services insideout-services)

set(INSIDEOUT_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/insideout)
install(EXPORT insideout NAMESPACE insideout:: FILE insideoutTargets.cmake DESTINATION ${INSIDEOUT_PACKAGE_DIR} COMPONENT development)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/insideoutConfig.cmake.in
    ${PROJECT_BINARY_DIR}/insideoutConfig.cmake INSTALL_DESTINATION ${INSIDEOUT_PACKAGE_DIR})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/insideoutConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES
    ${PROJECT_BINARY_DIR}/insideoutConfig.cmake
    ${PROJECT_BINARY_DIR}/insideoutConfigVersion.cmake
    ${CMAKE_CURRENT_LIST_DIR}/Dependencies.cmake
    ${CMAKE_CURRENT_LIST_DIR}/Schemas.cmake
    DESTINATION ${INSIDEOUT_PACKAGE_DIR} COMPONENT development)
install(PROGRAMS ${PROJECT_SOURCE_DIR}/shared/events/codegen.py DESTINATION ${INSIDEOUT_PACKAGE_DIR} COMPONENT development)

file(RELATIVE_PATH PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(${CMAKE_CURRENT_LIST_DIR}/insideout.pc.in ${PROJECT_BINARY_DIR}/insideout.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/insideout.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)

# The librdkafka that the layers are made for, beside the system's own and out of its way.
set(librdkafka ${CMAKE_INSTALL_LIBDIR}/insideout/librdkafka)
install(FILES ${LIBRDKAFKA_ROOT}/lib/librdkafka.so.1 DESTINATION ${librdkafka}/lib COMPONENT runtime)
install(FILES ${LIBRDKAFKA_ROOT}/lib/librdkafka.so DESTINATION ${librdkafka}/lib COMPONENT development)
install(DIRECTORY ${LIBRDKAFKA_ROOT}/include DESTINATION ${librdkafka} COMPONENT development)

# What is ours, and what librdkafka says at the head of its header.
file(READ ${LIBRDKAFKA_ROOT}/include/librdkafka/rdkafka.h notice LIMIT 4096)
string(REGEX REPLACE "[*]/.*" "*/" notice "${notice}")
file(READ ${PROJECT_SOURCE_DIR}/LICENSE licence)
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/copyright CONTENT "@notice@\n\nEverything else:\n\n@licence@" @ONLY)
foreach(component runtime development services)
    install(FILES ${PROJECT_BINARY_DIR}/copyright DESTINATION share/doc/${insideout_${component}} COMPONENT ${component})
endforeach()
