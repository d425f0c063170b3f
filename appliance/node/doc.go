// Package node puts a board together: from the configuration the state directory, from
// that the database, then the link to the cloud, the loader of the model, the core that
// answers, and around them the listeners, the health, and what keeps the board from
// overheating. Only this package, package cloudnode and the program's commands wire the
// others together.
package node
