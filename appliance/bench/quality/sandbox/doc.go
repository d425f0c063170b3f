// Package sandbox runs a small Python program that nobody has read, such as one that a
// model wrote, so that it can do no harm.
//
// The program runs in a child process. Linux namespaces give it a network with no
// interfaces, process numbers of its own and a file system of its own: of this machine's
// files it sees those of the system and of Python, which it can only read, and it writes to
// a small directory in memory that ends with it. Resource limits bound its memory, processor
// time, files and processes, and the parent its time and its output. Its environment is
// empty, and it has no capability in any namespace.
//
// The child is this program once more: Start it with Args, and have it call Enter, which
// builds those walls around itself and becomes the interpreter. Where the kernel refuses a
// wall nothing is run, unless the caller asks for Unconfined, which has the limits and a
// temporary directory but no namespaces.
package sandbox
