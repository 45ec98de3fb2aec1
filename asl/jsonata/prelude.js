// What bartizan adds around the reference implementation.

// refsOf collects the variables that an expression refers to, and of each
// whether it is used whole or only by some of its members.
function refsOf(ast) {
    const refs = Object.create(null);
    const seen = new Set();
    function ref(name) {
        return refs[name] || (refs[name] = {whole: false, members: Object.create(null)});
    }
    function walk(n) {
        if (n === null || typeof n !== 'object' || seen.has(n)) {
            return;
        }
        seen.add(n);
        if (Array.isArray(n)) {
            n.forEach(walk);
            return;
        }
        if (n.type === 'path' && Array.isArray(n.steps)) {
            const first = n.steps[0], second = n.steps[1];
            if (first && first.type === 'variable' && !first.predicate && !first.stages && !first.group &&
                second && second.type === 'name') {
                ref(first.value).members[second.value] = true;
                seen.add(first);
            }
        } else if (n.type === 'variable' && n.value) {
            ref(n.value).whole = true;
        }
        for (const k of Object.keys(n)) {
            walk(n[k]);
        }
    }
    walk(ast);
    return refs;
}

// topLevelNames collects the names that an expression reads of its input, of
// which there is none in Step Functions.
function topLevelNames(ast) {
    const names = Object.create(null);
    function all(list) {
        (list || []).forEach(walk);
    }
    function walk(n) {
        if (n === null || typeof n !== 'object') {
            return;
        }
        switch (n.type) {
        case 'path':
            const first = n.steps[0];
            if (first.type === 'name') {
                names[first.value] = true;
            } else {
                walk(first);
            }
            return; // what follows is read of what came before
        case 'name':
            names[n.value] = true;
            return;
        case 'variable':
            if (n.value === '$') {
                names['$$'] = true;
            }
            return;
        case 'binary':
        case 'apply':
        case 'bind':
            walk(n.lhs);
            walk(n.rhs);
            return;
        case 'condition':
            walk(n.condition);
            walk(n.then);
            walk(n.else);
            return;
        case 'block':
            all(n.expressions);
            return;
        case 'unary':
            walk(n.expression);
            all(n.expressions);
            (n.lhs || []).forEach(all);
            return;
        case 'function':
        case 'partial':
            walk(n.procedure);
            all(n.arguments);
            return;
        }
    }
    walk(ast);
    return names;
}

function raise(code, message) {
    throw {code: code, message: message};
}

function registerBounded(e) {
    e.registerFunction('pad', function (str, width, char) {
        if (typeof str === 'undefined') {
            return undefined;
        }
        if (Math.abs(width) > limits.range) {
            raise('D2014', 'The width given to $pad must not exceed its limit.');
        }
        if (typeof char === 'undefined' || char.length === 0) {
            char = ' ';
        }
        const chars = Array.from(char), have = Array.from(str).length, n = Math.trunc(Math.abs(width)) - have;
        if (n <= 0) {
            return str;
        }
        const fill = [];
        for (let i = 0; i < n; i++) {
            fill.push(chars[i % chars.length]);
        }
        return width > 0 ? str + fill.join('') : fill.join('') + str;
    }, '<s-ns?:s>');
}

function registerStates(e) {
    e.registerFunction('partition', function (array, size) {
        if (typeof array === 'undefined') {
            return undefined;
        }
        size = Math.trunc(size);
        if (!(size > 0)) {
            raise('D3137', 'The chunk size given to $partition must be a positive number');
        }
        const out = [];
        for (let i = 0; i < array.length; i += size) {
            out.push(array.slice(i, i + size));
        }
        return out;
    }, '<an:a>');
    e.registerFunction('range', function (first, last, step) {
        const n = Math.floor((last - first) / step) + 1;
        if (!(step !== 0) || n > 1000) {
            raise('D3137', step === 0 ? 'The step given to $range must not be 0' : 'The array made by $range must not exceed 1000 elements');
        }
        const out = [];
        for (let i = 0; i < n; i++) {
            out.push(first + i * step);
        }
        return out;
    }, '<nnn:a>');
    e.registerFunction('hash', function (str, algorithm) {
        if (typeof str === 'undefined') {
            return undefined;
        }
        const h = nativeHash(str, algorithm);
        if (h === null) {
            raise('D3137', 'The algorithm given to $hash must be MD5, SHA-1, SHA-256, SHA-384 or SHA-512');
        }
        return h;
    }, '<s-s:s>');
    e.registerFunction('random', function (seed) {
        return typeof seed === 'undefined' ? Math.random() : nativeSeeded(seed);
    }, '<n?:n>');
    e.registerFunction('uuid', function () {
        return nativeUUID();
    }, '<:s>');
    e.registerFunction('parse', function (text) {
        if (typeof text === 'undefined') {
            return undefined;
        }
        try {
            return JSON.parse(text);
        } catch (err) {
            raise('D3137', 'The text given to $parse is not JSON: ' + err.message);
        }
    }, '<s-:x>');
    e.assign('eval', undefined);
}

function compileExpression(source, states, depth) {
    const options = {stack: depth};
    const e = jsonata(source, options);
    registerBounded(e);
    if (states) {
        registerStates(e);
    }
    return {e: e, refs: refsOf(e.ast()), ast: e.ast(), names: topLevelNames(e.ast())};
}

function evaluateExpression(compiled, input, bindings) {
    return compiled.e.evaluate(input, bindings);
}
