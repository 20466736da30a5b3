# Installs BUILD into a fresh prefix, then makes and runs the example of this directory out of the tree: once with
# the CMake package, once with a compiler and pkg-config alone.
function(run)
    execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

set(work ${BUILD}/install_test)
file(REMOVE_RECURSE ${work})
file(MAKE_DIRECTORY ${work}/by-hand)
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${work}/prefix)
file(COPY ${CMAKE_CURRENT_LIST_DIR}/ DESTINATION ${work}/source)

run(${CMAKE_COMMAND} -S ${work}/source -B ${work}/build -G ${GENERATOR} -DCMAKE_PREFIX_PATH=${work}/prefix
    -DCMAKE_C_COMPILER=${CC} -DCMAKE_C_FLAGS=${CFLAGS})
run(${CMAKE_COMMAND} --build ${work}/build)
run(${work}/build/page_views)

file(GLOB_RECURSE pc ${work}/prefix/insideout.pc)
get_filename_component(pc_dir ${pc} DIRECTORY)
set(ENV{PKG_CONFIG_PATH} ${pc_dir}:$ENV{PKG_CONFIG_PATH})
set(ENV{CC} "${CC} ${CFLAGS}")
run(sh -ec "cd ${work}/by-hand
    python3 $(pkg-config --variable=codegen insideout) ${work}/source/schemas schemas
    $CC -o page_views ${work}/source/page_views.c schemas/schemas.gen.c -I. $(pkg-config --cflags --libs insideout)
    ./page_views")
