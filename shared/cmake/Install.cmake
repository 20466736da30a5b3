# cmake --install: shared/ as a library for other projects; io_library() has put the layers into the export.
include(CMakePackageConfigHelpers)

set(INSIDEOUT_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/insideout)
install(EXPORT insideout NAMESPACE insideout:: FILE insideoutTargets.cmake DESTINATION ${INSIDEOUT_PACKAGE_DIR})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/insideoutConfig.cmake.in
    ${PROJECT_BINARY_DIR}/insideoutConfig.cmake INSTALL_DESTINATION ${INSIDEOUT_PACKAGE_DIR})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/insideoutConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES
    ${PROJECT_BINARY_DIR}/insideoutConfig.cmake
    ${PROJECT_BINARY_DIR}/insideoutConfigVersion.cmake
    ${CMAKE_CURRENT_LIST_DIR}/Dependencies.cmake
    ${CMAKE_CURRENT_LIST_DIR}/Schemas.cmake
    ${CMAKE_CURRENT_LIST_DIR}/librdkafka.patch
    DESTINATION ${INSIDEOUT_PACKAGE_DIR})
install(PROGRAMS ${PROJECT_SOURCE_DIR}/shared/events/codegen.py ${CMAKE_CURRENT_LIST_DIR}/librdkafka.sh DESTINATION ${INSIDEOUT_PACKAGE_DIR})

# Made when it is installed: only then is the prefix known (cmake --install --prefix).
foreach(variable CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR INSIDEOUT_PACKAGE_DIR PROJECT_DESCRIPTION
        PROJECT_VERSION LIBRDKAFKA_ROOT)
    install(CODE "set(${variable} \"${${variable}}\")")
endforeach()
install(CODE "
    configure_file(${CMAKE_CURRENT_LIST_DIR}/insideout.pc.in ${PROJECT_BINARY_DIR}/insideout.pc @ONLY)
    file(INSTALL ${PROJECT_BINARY_DIR}/insideout.pc
         DESTINATION \${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBDIR}/pkgconfig)")
