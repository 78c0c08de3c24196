/** What `npm test` runs a part of and `npm run test:full` all of. */
export const isFull = process.env.KINDLING_FULL === "1";
