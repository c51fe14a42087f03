#include "program.h"

int main(int argc, char** argv) { return ballast::app::run_program(argc, argv); }
