# SPDX-License-Identifier: MIT OR Apache-2.0
"""Circles of who waits for whom. Needs no drgn."""


def circles(edges):
    """Circles of a directed graph {node: [nodes]}, each once, from its smallest node on: one for each strongly
    connected component that has any, the shortest through its smallest node."""
    found = []
    for component in components(edges):
        start = min(component)
        circle = _shortest_circle(edges, start, component)
        if circle:
            found.append(circle)
    return sorted(found)


def components(edges):
    """Strongly connected components (Tarjan's, without recursion, so that a long chain does no harm)."""
    index, low, on_stack, stack, result = {}, {}, set(), [], []
    for root in list(edges):
        if root in index:
            continue
        work = [(root, iter(edges.get(root, ())))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, successors = work[-1]
            for successor in successors:
                if successor not in index:
                    index[successor] = low[successor] = len(index)
                    stack.append(successor)
                    on_stack.add(successor)
                    work.append((successor, iter(edges.get(successor, ()))))
                    break
                if successor in on_stack:
                    low[node] = min(low[node], index[successor])
            else:
                work.pop()
                if work:
                    above = work[-1][0]
                    low[above] = min(low[above], low[node])
                if low[node] == index[node]:
                    result.append(_unwind(stack, on_stack, node))
    return result


def _unwind(stack, on_stack, node):
    component = set()
    while True:
        member = stack.pop()
        on_stack.discard(member)
        component.add(member)
        if member == node:
            return component


def _shortest_circle(edges, start, component):
    before, queue = {}, [start]
    for node in queue:
        for successor in edges.get(node, ()):
            if successor == start:
                circle = [node]
                while circle[-1] != start:
                    circle.append(before[circle[-1]])
                return circle[::-1]
            if successor in component and successor not in before:
                before[successor] = node
                queue.append(successor)
    return None
