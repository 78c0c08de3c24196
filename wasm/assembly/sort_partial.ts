/**
 * Partial sorts of items by key alone. Among equals the result depends on every exchange, and users see it as indices: so topk
 * follows libstdc++'s nth_element, partial_sort and sort, and kthvalue PyTorch's own quickselect, step by step.
 */

import { itemSize, keyOf, placeOf, putItem } from "./sort_items";

@inline function address<K>(items: usize, i: i32): usize {
  return items + <usize>i * itemSize<K>();
}
@inline function copy<K>(to: usize, from: usize): void {
  if (sizeof<K>() == 4) store<u64>(to, load<u64>(from));
  else v128.store(to, v128.load(from));
}
@inline function swap<K>(a: usize, b: usize): void {
  const key = keyOf<K>(a);
  const place = placeOf<K>(a);
  copy<K>(a, b);
  putItem<K>(b, key, place);
}
/** Whether item `a` comes before item `b`. */
@inline function before<K>(a: usize, b: usize): bool {
  return keyOf<K>(a) < keyOf<K>(b);
}
@inline function countOf<K>(first: usize, last: usize): i32 {
  return <i32>((last - first) / itemSize<K>());
}
@inline function depthLimit(n: i32): i32 {
  return 2 * (31 - clz(n));
}

// Heaps, with the last in order on top.

function pushHeap<K>(items: usize, hole: i32, top: i32, key: K, place: i32): void {
  while (hole > top) {
    const parent = (hole - 1) / 2;
    const at = address<K>(items, parent);
    if (!(keyOf<K>(at) < key)) break;
    copy<K>(address<K>(items, hole), at);
    hole = parent;
  }
  putItem<K>(address<K>(items, hole), key, place);
}

function adjustHeap<K>(items: usize, hole: i32, n: i32, key: K, place: i32): void {
  const top = hole;
  let child = hole;
  while (child < (n - 1) / 2) {
    child = 2 * (child + 1);
    if (before<K>(address<K>(items, child), address<K>(items, child - 1))) child--;
    copy<K>(address<K>(items, hole), address<K>(items, child));
    hole = child;
  }
  if ((n & 1) == 0 && child == (n - 2) / 2) {
    child = 2 * (child + 1) - 1;
    copy<K>(address<K>(items, hole), address<K>(items, child));
    hole = child;
  }
  pushHeap<K>(items, hole, top, key, place);
}

/** Takes the top of a heap of `n` to `result`, whose item joins the heap. */
@inline function popHeap<K>(items: usize, n: i32, result: usize): void {
  const key = keyOf<K>(result);
  const place = placeOf<K>(result);
  copy<K>(result, items);
  adjustHeap<K>(items, 0, n, key, place);
}

/** Makes the `k` least of `n` a heap in front. */
function heapSelect<K>(items: usize, k: i32, n: i32): void {
  for (let parent = (k - 2) / 2; k >= 2 && parent >= 0; parent--) {
    const at = address<K>(items, parent);
    adjustHeap<K>(items, parent, k, keyOf<K>(at), placeOf<K>(at));
  }
  const end = address<K>(items, n);
  for (let item = address<K>(items, k); item < end; item += itemSize<K>()) {
    if (before<K>(item, items)) popHeap<K>(items, k, item);
  }
}

/** std::partial_sort */
export function partialSort<K>(items: usize, k: i32, n: i32): void {
  heapSelect<K>(items, k, n);
  for (let m = k - 1; m > 0; m--) popHeap<K>(items, m, address<K>(items, m));
}

function insert<K>(item: usize, first: usize): void {
  const key = keyOf<K>(item);
  const place = placeOf<K>(item);
  while (item > first && key < keyOf<K>(item - itemSize<K>())) {
    copy<K>(item, item - itemSize<K>());
    item -= itemSize<K>();
  }
  putItem<K>(item, key, place);
}

function insertionSort<K>(first: usize, last: usize): void {
  for (let item = first + itemSize<K>(); item < last; item += itemSize<K>()) insert<K>(item, first);
}

@inline function medianToFirst<K>(result: usize, a: usize, b: usize, c: usize): void {
  let median = b;
  if (before<K>(a, b)) {
    if (!before<K>(b, c)) median = before<K>(a, c) ? c : a;
  } else if (before<K>(a, c)) median = a;
  else if (before<K>(b, c)) median = c;
  swap<K>(result, median);
}

/** Partitions around the median of three; returns where the second part begins. */
function partition<K>(first: usize, last: usize): usize {
  const middle = first + <usize>(countOf<K>(first, last) / 2) * itemSize<K>();
  medianToFirst<K>(first, first + itemSize<K>(), middle, last - itemSize<K>());
  const pivot = keyOf<K>(first);
  let x = first + itemSize<K>();
  let y = last;
  while (true) {
    while (keyOf<K>(x) < pivot) x += itemSize<K>();
    y -= itemSize<K>();
    while (pivot < keyOf<K>(y)) y -= itemSize<K>();
    if (x >= y) return x;
    swap<K>(x, y);
    x += itemSize<K>();
  }
}

/** std::nth_element */
export function nthElement<K>(items: usize, nth: i32, n: i32): void {
  let first = items;
  let last = address<K>(items, n);
  const at = address<K>(items, nth);
  for (let depth = depthLimit(n); countOf<K>(first, last) > 3; depth--) {
    if (depth == 0) {
      heapSelect<K>(first, countOf<K>(first, at) + 1, countOf<K>(first, last));
      swap<K>(first, at);
      return;
    }
    const cut = partition<K>(first, last);
    if (cut <= at) first = cut;
    else last = cut;
  }
  insertionSort<K>(first, last);
}

const SMALL: i32 = 16;

function introsort<K>(first: usize, last: usize, depth: i32): void {
  while (countOf<K>(first, last) > SMALL) {
    if (depth == 0) {
      partialSort<K>(first, countOf<K>(first, last), countOf<K>(first, last));
      return;
    }
    depth--;
    const cut = partition<K>(first, last);
    introsort<K>(cut, last, depth);
    last = cut;
  }
}

/** std::sort */
export function unstableSort<K>(items: usize, n: i32): void {
  if (n < 2) return;
  const last = address<K>(items, n);
  introsort<K>(items, last, depthLimit(n));
  // What introsort leaves is nearly in order: no item passes one of an earlier group of 16.
  insertionSort<K>(items, last);
}

/** PyTorch's quickselect: brings the item that belongs at `k` there. */
export function quickSelect<K>(items: usize, k: i32, n: i32): void {
  let left = 0;
  let right = n - 1;
  while (right > left) {
    const l = address<K>(items, left);
    const r = address<K>(items, right);
    if (right == left + 1) {
      if (before<K>(r, l)) swap<K>(l, r);
      return;
    }
    const second = l + itemSize<K>();
    swap<K>(address<K>(items, (left + right) >> 1), second);
    if (before<K>(r, second)) swap<K>(second, r);
    if (before<K>(r, l)) swap<K>(l, r);
    if (before<K>(l, second)) swap<K>(second, l);
    const pivot = keyOf<K>(l);
    let i = second;
    let j = r;
    while (true) {
      do i += itemSize<K>();
      while (keyOf<K>(i) < pivot);
      do j -= itemSize<K>();
      while (pivot < keyOf<K>(j));
      if (j < i) break;
      swap<K>(i, j);
    }
    swap<K>(l, j);
    const at = countOf<K>(items, j);
    const next = countOf<K>(items, i);
    if (at <= k) left = next;
    if (at >= k) right = at - 1;
  }
}
