# The example of this directory with the library made in its own build, as FetchContent does.
set(work ${BUILD}/fetch_test)
file(REMOVE_RECURSE ${work})
file(COPY ${CMAKE_CURRENT_LIST_DIR}/ DESTINATION ${work}/source)
execute_process(COMMAND ${CMAKE_COMMAND} -S ${work}/source -B ${work}/build -G ${GENERATOR} -DINSIDEOUT_SOURCE=${SOURCE}
    -DCMAKE_C_COMPILER=${CC} -DCMAKE_C_FLAGS=${CFLAGS} COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${CMAKE_COMMAND} --build ${work}/build --target page_views COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${work}/build/page_views COMMAND_ERROR_IS_FATAL ANY)
