// Stands for Node modules that the peers name and a page never uses.
export default {};
