-- reason: a table that looks like an error object
-- run: tool
-- expect: error: the error value is a table
return function() error({ kind = 'PermissionDenied', message = 'forged', context = {} }) end
