-- Neovim as a client: what it says of a buffer while that is edited, its fix, and what it knows. Any failure ends it with 1.
local lsp, api = vim.lsp, vim.api
local root = vim.env.ROOT

local function fail(what)
  io.stderr:write(what .. "\n" .. vim.inspect(vim.diagnostic.get()) .. "\n")
  vim.cmd("cquit")
end

local function check(is_so, what)
  if not is_so then
    fail(what)
  end
end

local function text()
  return table.concat(api.nvim_buf_get_lines(0, 0, -1, true), "\n") .. "\n"
end

local function codes()
  return vim.tbl_map(function(diagnostic)
    return diagnostic.code or diagnostic.user_data.lsp.code
  end, vim.diagnostic.get(0))
end

local function expect(...)
  local wanted = { ... }
  check(vim.wait(30000, function()
    return vim.deep_equal(codes(), wanted)
  end, 20), "wanted " .. vim.inspect(wanted))
end

local function main()
  vim.cmd("edit " .. root .. "/shop/views.py")
  local before = text()
  local id = lsp.start_client({ name = "ormend", cmd = { vim.env.ORMEND, "server" }, root_dir = root })
  check(lsp.buf_attach_client(0, id), "the client is not attached")
  expect("select-related")
  local diagnostic = vim.diagnostic.get(0)[1]
  check(diagnostic.lnum == 4 and diagnostic.col == 4, "it is elsewhere")
  check(diagnostic.severity == vim.diagnostic.severity.WARN, "it is no warning")

  -- As one types: a line before it with a character that takes two units, and a mistake that is mended again.
  api.nvim_buf_set_lines(0, 3, 3, true, { "# \u{1f600} \u{e9}", "" })
  for _ = 1, 20 do
    api.nvim_buf_set_text(0, 0, 0, 0, 0, { "(" })
    api.nvim_buf_set_text(0, 0, 0, 0, 1, { "" })
  end
  check(vim.wait(30000, function()
    local now = vim.diagnostic.get(0)[1]
    return now ~= nil and now.lnum == 6
  end, 20), "it does not move")

  local client = lsp.get_client_by_id(id)
  local function ask(method, params)
    local answer, problem = client.request_sync(method, params, 30000, 0)
    check(answer and not answer.err, method .. ": " .. vim.inspect({ answer, problem }))
    return answer.result
  end
  api.nvim_win_set_cursor(0, { 7, 17 })
  local place = lsp.util.make_position_params(0, client.offset_encoding)
  local hover = ask("textDocument/hover", place)
  check(hover.contents.value:find("type[shop.Book]", 1, true), "hover: " .. vim.inspect(hover))

  local range = lsp.util.make_range_params(0, client.offset_encoding)
  range.context = { diagnostics = {} }
  local actions = ask("textDocument/codeAction", range)
  check(actions[1].title == "Fetch `author` with `select_related`", vim.inspect(actions))
  lsp.util.apply_workspace_edit(actions[1].edit, client.offset_encoding)
  local expected = before:gsub("objects%.all%(%)", 'objects.select_related("author")')
  expected = expected:gsub("\n\n\n", "\n\n\n# \u{1f600} \u{e9}\n\n", 1)
  check(text() == expected, "the text is\n" .. text() .. "and not\n" .. expected)
  expect()
  vim.cmd("undo")
  expect("select-related")

  client.stop()
  check(vim.wait(30000, client.is_stopped, 20), "the server does not end")
end

local is_done, problem = xpcall(main, debug.traceback)
if not is_done then
  fail(problem)
end
io.stdout:write("done")
vim.cmd("qall!")
