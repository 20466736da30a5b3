/* An instance of the toy, of another version than the test's own. */
#include "world.h"

int main(int argc, char **argv) {
    world_main(argc, argv);
    return 2;
}
